package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTwoFlowsShare: two flows of one kind on one bottleneck share it. (BBR: TestBBRIsFairToItself. Beside the kernel's own
// flows: "make fairness".)
func TestTwoFlowsShare(t *testing.T) {
	for _, name := range []string{"cubic", "reno"} {
		b := newBottleneck(t, 30, 0, name, name)
		b.measure(30 * second)
		got := b.measure(60 * second)
		t.Logf("%s: %.2f", name, float64(got[0])/float64(got[0]+got[1]))
		require.InDelta(t, 0.5, float64(got[0])/float64(got[0]+got[1]), 0.1, name)
		require.Greater(t, got[0]+got[1], bottleGoodput*60*95/100, name)
	}
}

package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLossesByChanceOnAShortPath: 5 % of the packets are lost each way, and a round trip takes 0.12 ms. What counts there is how
// often a loss costs a timeout, 200 ms. The kernel's CUBIC has about two in 3 MB (tests/interop, cell cubic/loss5); ours had as many
// there, and one here, before its small windows grew as the kernel's do.
func TestLossesByChanceOnAShortPath(t *testing.T) {
	const runs = 25
	timeouts := uint64(0)
	for seed := range uint64(runs) {
		l := Link{Delay: 60_000, Loss: 0.05, Rate: 2_000_000_000}
		w := newWorld(t, config{seed: 1 + seed, mtu: 1500, link: [2]Link{l, l}, frames: 4096})
		a, b := w.pair()
		s := w.send(a, b, 3_000_000)
		w.until(60*second, "3 MB", func() bool { return s.got == s.total })
		timeouts += w.host[0].Host().SendStats().Timeouts
	}
	t.Logf("%d timeouts in %d transfers", timeouts, runs)
	require.Less(t, timeouts, uint64(runs), "the exact curve: 34")
}

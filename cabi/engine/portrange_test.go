package engine

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPortRangeIsRead(t *testing.T) {
	r := newPortRange("40000\t40009\n", "40002,40004-40006,70000,x,9\n")
	require.Equal(t, []uint16{40000, 40008, 40001, 40003, 40007, 40009}, inHalves(r, 1000))
	for _, bad := range []string{"", "0 0", "5", "9 3", "1 65536", "a b"} {
		require.Empty(t, inHalves(newPortRange(bad, ""), 1000), "%q", bad)
	}
}

// Each port once, those of connect first, whatever the range; and no more than was asked for, of either half.
func TestPortsToTry(t *testing.T) {
	for _, c := range []struct {
		limits string
		tries  int
		want   int
	}{{"40000 40000", 9, 1}, {"40000 40001", 9, 2}, {"40000 40002", 9, 3}, {"40000 40199", 100, 200}, {"40000 40199", 10, 20}, {"32768 60999", 300, 600}, {"1 65535", 1 << 16, 65535}} {
		r := newPortRange(c.limits, "")
		for seed := range uint64(20) {
			var got []uint16
			for n := range r.candidates(c.tries, rand.New(rand.NewPCG(seed, 0)).IntN) {
				got = append(got, n)
			}
			require.Len(t, got, c.want, "%s", c.limits)
			firsts := min(c.tries, (r.high-r.low+2)/2)
			for i, n := range got {
				require.Equal(t, i >= firsts, (int(n)-r.low)&1 == 1, "%s: %d of %v", c.limits, i, n)
				require.True(t, int(n) >= r.low && int(n) <= r.high)
			}
			slices.Sort(got)
			require.Len(t, slices.Compact(got), c.want, "%s: one comes twice", c.limits)
		}
	}
}

// inHalves are the candidates, in order of their numbers within each half.
func inHalves(r *portRange, tries int) (got []uint16) {
	for n := range r.candidates(tries, rand.IntN) {
		got = append(got, n)
	}
	slices.SortFunc(got, func(a, b uint16) int {
		return 1<<17*((int(a)-r.low)&1-(int(b)-r.low)&1) + int(a) - int(b)
	})
	return got
}

package sim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// patience is how long a cell may take: a few times what a good recovery needs, so that one timeout after another shows.
var patience = map[float64]int64{0: second / 2, 0.01: 2 * second, 0.05: 4 * second, 0.2: 200 * second}

// TestLossMatrix moves bytes both ways under every combination of impairments; the seed of a line is its number, so a
// failing line can be run again by its name alone.
func TestLossMatrix(t *testing.T) {
	seed := uint64(0)
	for _, loss := range []float64{0, 0.01, 0.05, 0.2} {
		for _, reorder := range []float64{0, 0.05} {
			for _, dup := range []float64{0, 0.05} {
				for _, delay := range []int64{ms / 20, 20 * ms} {
					for _, rate := range []int64{0, 20_000_000} {
						seed++
						l := Link{Delay: delay, Jitter: delay / 4, Rate: rate, Loss: loss, Reorder: reorder, Hold: delay + ms/10, Dup: dup}
						if rate > 0 {
							l.Queue = 50
						}
						c := config{seed: seed, link: [2]Link{l, l}, v6: seed%4 == 0}
						name := fmt.Sprintf("%d/loss=%v,reorder=%v,dup=%v,delay=%vms,rate=%vM", seed, loss, reorder, dup, float64(delay)/1e6, rate/1e6)
						t.Run(name, func(t *testing.T) {
							require.Less(t, transfer(t, c, 150_000), patience[loss], "of virtual time, in ns")
						})
					}
				}
			}
		}
	}
}

// TestCorruptedPackets flips bits: what the checksums cannot notice is not made here, so every byte must be right.
func TestCorruptedPackets(t *testing.T) {
	l := Link{Delay: ms, Corrupt: 0.03}
	transfer(t, config{seed: 77, link: [2]Link{l, l}}, 300_000)
}

// TestSmallPools: with hardly any frames everything is slow but nothing stops.
func TestSmallPools(t *testing.T) {
	for _, frames := range []int{32, 64, 256} {
		t.Run(fmt.Sprint(frames), func(t *testing.T) {
			l := Link{Delay: ms, Loss: 0.01}
			transfer(t, config{seed: uint64(frames), frames: frames, link: [2]Link{l, l}}, 200_000)
		})
	}
}

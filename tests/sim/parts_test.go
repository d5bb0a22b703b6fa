package sim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPartsChangeNothing: in how many frames a packet comes makes no difference to what is sent, and when: an ACK is for a segment, a
// duplicate is reported as a whole.
func TestPartsChangeNothing(t *testing.T) {
	for seed := range uint64(12) {
		p := &plan{Seed: seed, V6: seed%2 == 0, MTU: []int{1500, 9000, 3000}[seed%3], Frames: 2048, Backlog: 8}
		for i := range p.Link {
			p.Link[i] = Link{Delay: ms, Rate: 1e8, Queue: 500, Loss: 0.01, Dup: 0.02, Reorder: 0.02, Hold: 3 * ms, Pad: 0.1, Corrupt: 0.005}
		}
		p.Conns = []session{{Bytes: [2]int{300_000, 40_000}, Chunk: 16 << 10}}
		p.Conns[0].Ops = []event{{At: 20 * ms, What: "urgent"}}
		whole := p.run()
		require.NoError(t, whole.err)
		p.Parts = true
		parts := p.run()
		require.NoError(t, parts.err)
		require.Equal(t, fmt.Sprint(whole.packets, whole.trace), fmt.Sprint(parts.packets, parts.trace), "seed %d", seed)
	}
}

package hidden

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableWithoutHiddenQueues(t *testing.T) {
	require.Equal(t, []uint32{0, 1, 2, 0, 0, 1, 2, 1}, without([]uint32{0, 1, 2, 3, 0, 1, 2, 3}, []int{3}), "the entries of queue 3 go where fewest are")
	require.Nil(t, without([]uint32{3, 3}, []int{3}), "no queue would be left")
	require.Equal(t, []uint32{2, 3, 2, 3}, over([]int{2, 3}, 4))
}

func TestTableStaysEven(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rings := 2 + rnd.IntN(15)
		table := make([]uint32, rings*(1+rnd.IntN(16)))
		for i := range table {
			table[i] = uint32(i % rings)
		}
		hidden := rnd.Perm(rings - 1)[:1+rnd.IntN(rings-1)]
		for i := range hidden {
			hidden[i]++ // never queue 0
		}
		out := without(table, hidden)
		load := map[uint32]int{}
		for i, q := range out {
			require.False(t, slices.Contains(hidden, int(q)), "seed %d", seed)
			if !slices.Contains(hidden, int(table[i])) {
				require.Equal(t, table[i], q, "seed %d: entries of visible queues stay", seed)
			}
			load[q]++
		}
		least, most := len(out), 0
		for _, n := range load {
			least, most = min(least, n), max(most, n)
		}
		require.LessOrEqual(t, most-least, 1, "seed %d: %v", seed, load)
	}
}

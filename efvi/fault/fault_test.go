package fault

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/loop"
)

const frames = 64

// run sends count numbered packets of 8 bytes through faults, one a turn, and returns the numbers
// in the order they came. Every frame must come back to its owner.
func run(t *testing.T, cfg Config, count int) ([]uint64, Counters) {
	t.Helper()
	am, bm := memory(), memory()
	a, inner := loop.New(am, bm, loop.Config{})
	b := New(inner, bm, cfg)
	free := make([]uint32, frames)
	for i := range free {
		free[i] = uint32(i)
	}
	var got []uint64
	var ev [16]efvi.Event
	for turn := 0; turn < count+100; turn++ {
		free = free[b.Post(free):]
		if turn < count {
			binary.LittleEndian.PutUint64(am.Frame(0), uint64(turn))
			require.True(t, a.Send(0, 0, 8))
			require.NoError(t, a.Flush())
			a.Poll(ev[:])
		}
		for _, e := range ev[:b.Poll(ev[:])] {
			if e.Kind == efvi.EventRX {
				got = append(got, binary.LittleEndian.Uint64(bm.Data(e)))
			}
			free = append(free, e.Frame)
		}
	}
	require.Zero(t, inner.Dropped(), "frames were leaked")
	require.Zero(t, b.NextDeadline(), "nothing is held for ever")
	return got, b.Counters()
}

func memory() efvi.Memory { return efvi.Memory{Bytes: make([]byte, frames*efvi.FrameSize)} }

func TestWithoutFaultsAllPasses(t *testing.T) {
	got, n := run(t, Config{}, 1000)
	for i, v := range got {
		require.EqualValues(t, i, v)
	}
	require.Equal(t, Counters{Passed: 1000}, n)
}

func TestSeedRepeats(t *testing.T) {
	cfg := Config{Seed: 7, Drop: .1, Dup: .1, Reorder: .1, Corrupt: .1, Delay: 2, Jitter: 3}
	one, n := run(t, cfg, 2000)
	two, m := run(t, cfg, 2000)
	require.Equal(t, one, two)
	require.Equal(t, n, m)
	cfg.Seed++
	other, _ := run(t, cfg, 2000)
	require.NotEqual(t, one, other)
	for what, v := range map[string]uint64{
		"dropped": n.Dropped, "duplicated": n.Duplicated, "corrupted": n.Corrupted, "reordered": n.Reordered,
	} {
		require.InDelta(t, 200, float64(v), 60, what)
	}
	require.EqualValues(t, n.Passed+n.Duplicated, len(one))
}

func TestEachFaultAlone(t *testing.T) {
	got, n := run(t, Config{Drop: .5}, 1000)
	require.EqualValues(t, 1000-n.Dropped, len(got))
	require.IsIncreasing(t, got, "those that pass keep their order")

	got, n = run(t, Config{Dup: .5}, 1000)
	require.EqualValues(t, 1000+n.Duplicated, len(got))
	require.IsNonDecreasing(t, got)

	got, n = run(t, Config{Reorder: .2}, 1000)
	require.Len(t, got, 1000)
	late := 0
	for i, v := range got {
		require.InDelta(t, i, int(v), 3, "held for three turns")
		if i > 0 && v < got[i-1] {
			late++
		}
	}
	require.NotZero(t, late)
	require.NotZero(t, n.Reordered)

	got, n = run(t, Config{Corrupt: .5}, 1000)
	flipped := 0
	for i, v := range got {
		flipped += bits.OnesCount64(v ^ uint64(i))
	}
	require.EqualValues(t, n.Corrupted, flipped, "one bit each")
}

func TestDelayByClock(t *testing.T) {
	var now int64 = 1000
	m := memory()
	a, inner := loop.New(memory(), m, loop.Config{})
	b := New(inner, m, Config{Delay: 50, Clock: func() int64 { return now }})
	b.Post([]uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	a.Send(0, 0, 60)
	require.NoError(t, a.Flush())
	var ev [4]efvi.Event
	require.Zero(t, b.Poll(ev[:]))
	require.EqualValues(t, 1050, b.NextDeadline())
	now = 1050
	require.Equal(t, 1, b.Poll(ev[:]))
}

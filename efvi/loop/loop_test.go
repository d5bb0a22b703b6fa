package loop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
)

func memory(frames int) efvi.Memory {
	return efvi.Memory{Bytes: make([]byte, frames*efvi.FrameSize)}
}

func TestPacketsCross(t *testing.T) {
	am, bm := memory(8), memory(8)
	a, b := New(am, bm, Config{})
	require.Equal(t, 2, b.Post([]uint32{5, 6}))
	for i, text := range []string{"one", "two", "lost"} {
		copy(am.Frame(uint32(i))[100:], text)
		require.True(t, a.Send(uint32(i), 100, uint32(len(text))))
	}
	var ev [8]efvi.Event
	require.Zero(t, b.Poll(ev[:]), "nothing before Flush")
	require.NoError(t, a.Flush())

	require.Equal(t, 2, b.Poll(ev[:]), "as many as were posted")
	require.Equal(t, efvi.Event{Kind: efvi.EventRX, Frame: 5, Off: Headroom, Len: 3}, ev[0])
	require.Equal(t, "one", string(bm.Data(ev[0])))
	require.Equal(t, "two", string(bm.Data(ev[1])))
	require.EqualValues(t, 1, b.Dropped())

	require.Equal(t, 3, a.Poll(ev[:]), "every sent frame comes back")
	require.Equal(t, efvi.Event{Kind: efvi.EventTX, Frame: 2}, ev[2])
	require.NotEqual(t, a.Info().MAC, b.Info().MAC)
}

func TestFullRings(t *testing.T) {
	a, b := New(memory(8), memory(8), Config{Ring: 4})
	require.Equal(t, 4, b.Post([]uint32{0, 1, 2, 3, 4}), "the receive ring is full")
	for round := range 2 {
		for range 4 {
			require.True(t, a.Send(0, 0, 60))
		}
		require.False(t, a.Send(0, 0, 60), "the transmit ring is full")
		require.NoError(t, a.Flush(), "round %d", round)
	}
	require.True(t, a.Send(0, 0, 60))
	require.ErrorIs(t, a.Flush(), efvi.ErrBusy, "our events were not taken")
	var ev [1]efvi.Event
	require.Equal(t, 1, a.Poll(ev[:]))
	require.NoError(t, a.Flush())
}

func TestNothingIsAllocated(t *testing.T) {
	a, b := New(memory(2), memory(2), Config{})
	ev, post := make([]efvi.Event, 4), []uint32{1}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b.Post(post)
		a.Send(0, 0, 60)
		_ = a.Flush()
		a.Poll(ev)
		b.Poll(ev)
	}))
}

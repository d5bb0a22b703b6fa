package loop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
)

// With a clock packets are stamped at both ends, those that wish for it, and wait for their launch time.
func TestTimes(t *testing.T) {
	now := uint64(100)
	am, bm := memory(8), memory(8)
	a, b := New(am, bm, Config{Clock: func() uint64 { return now }})
	require.Equal(t, efvi.Times{RX: efvi.DeviceClock, TX: efvi.DeviceClock, Launch: true}, a.Times())
	b.Post([]uint32{0, 1, 2, 3})
	const off = efvi.SumRoom
	require.True(t, a.SendTimed(0, off, 4, 0, true))
	require.True(t, a.SendTimed(1, off, 4, 150, true))
	require.True(t, a.Send(2, 0, 4))
	require.NoError(t, a.Flush())
	var ev [8]efvi.Event
	require.Equal(t, 1, a.Poll(ev[:]), "the second waits for its time")
	at, ok := a.SentAt(0, off)
	require.True(t, ok && at == 100)
	_, ok = a.SentAt(1, off)
	require.False(t, ok)

	now = 160
	require.NoError(t, a.Flush())
	require.Equal(t, 2, a.Poll(ev[:]))
	at, ok = a.SentAt(1, off)
	require.True(t, ok && at == 160)
	require.Equal(t, 3, b.Poll(ev[:]))
	for i, want := range []uint64{100, 160, 160} {
		at, ok = b.ReceivedAt(ev[i])
		require.True(t, ok && at == want, "packet %d: %d", i, at)
	}
}

// Without one nobody is told a time, and no wish is granted.
func TestWithoutAClock(t *testing.T) {
	a, b := New(memory(4), memory(4), Config{})
	require.Zero(t, a.Times())
	require.False(t, a.SendTimed(0, efvi.SumRoom, 4, 0, true))
	require.False(t, a.SendTimed(0, efvi.SumRoom, 4, 5, false))
	require.True(t, a.SendTimed(0, efvi.SumRoom, 4, 0, false))
	b.Post([]uint32{0})
	require.NoError(t, a.Flush())
	var ev [2]efvi.Event
	require.Equal(t, 1, b.Poll(ev[:]))
	_, ok := b.ReceivedAt(ev[0])
	require.False(t, ok)
	_, ok = a.SentAt(0, efvi.SumRoom)
	require.False(t, ok)
}

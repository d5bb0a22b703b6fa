package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A shortage that passes changes nothing; in one that stays, of the runtime's or of the C side's, everything goes to the kernel, and nothing comes.
func TestTheKernelHasAllWhileThereIsNoRoom(t *testing.T) {
	there, asked := true, 0
	sh := &Shared{}
	e := &Engine{sh: sh, said: map[string]struct{}{}, boot: Boot{Room: func() bool { asked++; return there }}}
	now := int64(time.Hour)
	pass := func(d time.Duration) {
		for end := now + int64(d); now < end; now += int64(100 * time.Millisecond) {
			e.keepRoom(now)
		}
	}
	pass(3 * time.Second)
	require.Equal(t, 3, asked, "it is looked at each second")

	there = false
	pass(4 * time.Second)
	there = true
	pass(2 * time.Second)
	there = false
	pass(5 * time.Second)
	require.False(t, e.room.away)
	require.Zero(t, sh.NotesTail.Load())

	pass(5 * time.Second)
	require.True(t, e.room.away)
	require.EqualValues(t, 1, sh.NotesTail.Load())
	require.Equal(t, Kernel, e.SLListen(-1, 1))
	e.Takeover(now, []int{-1}, func(_, _ int, err error) { require.ErrorContains(t, err, "the kernel serves") })

	there = true
	pass(time.Second)
	require.False(t, e.room.away)

	sh.Starved.Store(1)
	pass(7 * time.Second)
	require.True(t, e.room.away)
}

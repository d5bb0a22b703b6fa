package ustack

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTimersAgainstAScan compares the heap with looking at every timer.
func TestTimersAgainstAScan(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var tm timers
	all := make([]*endpoint, 200)
	for i := range all {
		all[i] = &endpoint{}
	}
	least := func() (d int64) {
		for _, e := range all {
			d = earlier(d, e.timer.deadline)
		}
		return d
	}
	now := int64(1)
	for range 100_000 {
		e := all[r.IntN(len(all))]
		switch r.IntN(10) {
		case 0:
			tm.set(e, 0)
		case 1:
			tm.stop(e)
		case 2:
			now += r.Int64N(50)
			for d := least(); d != 0 && d <= now; d = least() {
				got := tm.due(now)
				require.NotNil(t, got, "a timer is due at %d", d)
				require.Zero(t, got.timer.id)
			}
			require.Nil(t, tm.due(now))
		default:
			tm.set(e, now+1+r.Int64N(1000))
		}
		require.Equal(t, least(), tm.next())
	}
}

func TestTimerThatMovesLaterDoesNotAllocate(t *testing.T) {
	var tm timers
	e := &endpoint{}
	at := int64(1)
	require.Zero(t, testing.AllocsPerRun(100, func() { at++; tm.set(e, at); tm.next() }))
}

package proto

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func newHistory(t testing.TB) (w, r *StateMap) {
	fd, err := NewState()
	require.NoError(t, err)
	defer unix.Close(fd)
	w, err = MapState(fd)
	require.NoError(t, err)
	t.Cleanup(func() { w.Close() })
	r, err = ReadState(fd)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return w, r
}

func TestHistoryKeepsTheLastEvents(t *testing.T) {
	w, r := newHistory(t)
	i := w.Add(&Entry{State: 1})
	// Later than 2^44 us, so that the clock's upper part comes from the reader.
	const start = 1_700_000_000_000_000_000
	var all []Event
	add := func(e Event) {
		e.At = start + int64(len(all))*1e6
		w.Happened(i, e)
		all = append(all, e)
	}
	add(Event{Kind: EventState, To: 1})
	for n := range uint16(12) {
		add(Event{Kind: EventTimeout, N: n + 1})
	}
	add(Event{Kind: EventOwnWindow, From: 1})
	got, before, err := r.History(int(i), start+1e9)
	require.NoError(t, err)
	require.Zero(t, before)
	require.Equal(t, all, got)

	add(Event{Kind: EventRetransmit, N: 1})
	got, before, err = r.History(int(i), start+1e9)
	require.NoError(t, err)
	require.Equal(t, 1, before)
	require.Equal(t, all[1:], got)
	all = all[:len(all)-1]
	add(Event{Kind: EventRetransmit, N: 4095})
	got, before, _ = r.History(int(i), start+1e9)
	require.Equal(t, 1, before, "retransmissions in a row are one event")
	require.Equal(t, all[1:], got)

	w.Remove(i)
	require.Equal(t, i, w.Add(&Entry{State: 2}))
	got, before, err = r.History(int(i), start+1e9)
	require.NoError(t, err)
	require.Zero(t, before)
	require.Empty(t, got, "another connection's history is another")
	w.Happened(-1, all[0])
	_, _, err = r.History(StateSlots, 0)
	require.Error(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { w.Happened(i, all[1]) }))
}

// A reader beside the writer gets whole events, in order, and none twice.
func TestHistoryIsReadWhileItIsWritten(t *testing.T) {
	w, r := newHistory(t)
	i := w.Add(&Entry{State: 1})
	done := make(chan bool)
	go func() {
		defer close(done)
		for n := range int64(1_000_000) {
			w.Happened(i, Event{At: n * 1000, Kind: EventTimeout, N: uint16(n & 0xfff)})
		}
	}()
	for reads := 0; ; reads++ {
		select {
		case <-done:
			require.Positive(t, reads)
			return
		default:
		}
		got, before, err := r.History(int(i), 1<<40)
		require.NoError(t, err)
		for k, e := range got {
			require.EqualValues(t, before+k, e.At/1000, "event %d of %d", k, len(got))
			require.EqualValues(t, (before+k)&0xfff, e.N)
		}
	}
}

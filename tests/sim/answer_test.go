package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The stack whose ACKs wait for answers is the stack without: the same oracles watch it over the same schedules.
func TestSchedulesWithAnswers(t *testing.T) {
	schedulesWith(t, func(p *plan) { p.Waits = true })
}

// A request and its answer are one packet each way behind the handshake.
func TestAnAnswerCarriesTheACK(t *testing.T) {
	for _, waits := range []bool{false, true} {
		l := Link{Delay: ms / 20}
		w := newWorld(t, config{seed: 3, waits: waits, link: [2]Link{l, l}})
		a, b := w.pair()
		before := w.host[1].Counters().TxPackets
		_, err := a.Send(w.now, [][]byte{[]byte("GET /")}, 0)
		require.NoError(t, err)
		buf := make([]byte, 16)
		w.until(second, "a request", func() bool {
			n, _, err := b.Recv(w.now, [][]byte{buf}, 0)
			return err == nil && n == 5
		})
		_, err = b.Send(w.now, [][]byte{[]byte("a page")}, 0)
		require.NoError(t, err)
		w.until(second, "an answer", func() bool {
			n, _, err := a.Recv(w.now, [][]byte{buf}, 0)
			return err == nil && n == 6
		})
		sent := w.host[1].Counters().TxPackets - before
		require.Equal(t, map[bool]uint64{false: 2, true: 1}[waits], sent, "packets of the server, waits %v", waits)
	}
}

// What moves to the kernel is acknowledged before: the kernel would send no ACK by itself, and the peer repeat its request.
func TestARequestIsAcknowledgedBeforeAMove(t *testing.T) {
	l := Link{Delay: ms / 20}
	w := newWorld(t, config{seed: 3, waits: true, link: [2]Link{l, l}})
	a, b := w.pair()
	_, err := a.Send(w.now, [][]byte{[]byte("GET /")}, 0)
	require.NoError(t, err)
	w.until(second, "a request", func() bool { return b.InqHint() == 5 })
	before := w.host[1].Counters().TxPackets
	snap, err := b.Freeze(w.now)
	require.NoError(t, err)
	require.Equal(t, "GET /", string(snap.Unread))
	require.Equal(t, before+1, w.host[1].Counters().TxPackets)
}

package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// TestRingFullForAnother: a connection finds the transmit ring full of another one's segments. It has nothing in flight, so
// no ACK and no timer of its own will remind it: room in the ring must.
func TestRingFullForAnother(t *testing.T) {
	l := Link{Delay: ms}
	w := newWorld(t, config{seed: 15, link: [2]Link{l, l}})
	a, b := w.pair()
	c := w.connect(40001)
	w.run(second)
	n := w.host[0].nic
	n.stuck = true
	_, err := a.Send(w.now, [][]byte{make([]byte, 20_000)}, 0)
	require.NoError(t, err)
	require.Len(t, n.tx, 4, "the ring is full")
	_, err = c.Send(w.now, [][]byte{[]byte("request")}, 0)
	require.NoError(t, err)
	w.run(5 * ms)
	require.Len(t, n.tx, 4)
	n.stuck = false
	require.NoError(t, n.Flush())
	w.until(10*ms, "the request leaves", func() bool { return c.OutQ() == 0 })
	w.until(second, "the other data, too", func() bool { return b.InQ() == 20_000 })
}

// TestFramesGoneToAnother: a program finds no frame to write into because another connection's data has them all. When that
// is gone it must be told, though nothing happens on its own connection.
func TestFramesGoneToAnother(t *testing.T) {
	l := Link{Delay: ms}
	w := newWorld(t, config{seed: 16, frames: 128, link: [2]Link{l, l}})
	h := w.host[0]
	h.words = map[*usock.Socket]uint32{}
	a, _ := w.pair()
	c := w.connect(40001)
	w.run(second)
	setInt(t, w, a, solSocket, soSndBuf, 1<<20)
	h.nic.link.Loss = 1
	for h.pool.Available() > 0 {
		_, err := a.SendStaged(w.now, make([]byte, 1000), false) // which must be taken, whatever a connection's share
		require.NoError(t, err)
	}
	_, err := c.Send(w.now, [][]byte{[]byte("request")}, 0)
	require.ErrorIs(t, err, tcp.ErrAgain)
	w.run(5 * ms)
	require.Zero(t, h.words[c]&usock.PollOut)
	edges := c.EdgeOut()
	a.Abort(w.now)
	w.run(5 * ms)
	require.NotZero(t, h.words[c]&usock.PollOut, "level")
	require.NotEqual(t, edges, c.EdgeOut(), "edge")
}

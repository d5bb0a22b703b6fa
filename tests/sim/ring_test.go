package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
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

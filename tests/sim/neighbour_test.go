package sim

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// A neighbour that does not answer: connect(2) fails with EHOSTUNREACH after three seconds, as behind the kernel's ARP.
func TestConnectToNobody(t *testing.T) {
	w := newWorld(t, config{seed: 1})
	h := w.host[0]
	h.routes.unresolved = true
	h.routes.gen++
	c, err := h.Connect(w.now, netip.AddrPortFrom(h.addr, 5000), netip.AddrPortFrom(w.host[1].addr, 80))
	require.NoError(t, err)
	w.run(2900 * ms)
	require.Equal(t, tcp.SynSent, c.State())
	w.run(200 * ms)
	require.Equal(t, tcp.Closed, c.State())
	require.ErrorIs(t, c.TakeError(), tcp.ErrHostUnreach)
	require.NotZero(t, h.routes.asked)
}

// The neighbour of an open connection goes away: what is written counts as lost after three seconds, so that timers run
// and the connection neither hangs for ever nor ends before its time; when the neighbour comes back it goes on.
func TestNeighbourGoesAndComesBack(t *testing.T) {
	w := newWorld(t, config{seed: 2})
	client, server := w.pair()
	r := w.host[0].routes
	r.unresolved = true
	r.gen++
	n, err := client.Send(w.now, [][]byte{[]byte("hello")}, 0)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	w.run(2 * second)
	require.Equal(t, 5, client.OutQNSD(), "it waits for the neighbour")
	w.run(2 * second)
	require.Zero(t, client.OutQNSD(), "it counts as sent")
	require.Equal(t, 5, client.OutQ())
	w.run(10 * second)
	require.Equal(t, tcp.Established, client.State())
	r.unresolved = false
	r.gen++
	w.until(30*second, "the data arrives", func() bool { return server.InQ() == 5 })
}

package sim

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// suspicious is a Registry that takes each unknown flow for another stack's.
type suspicious struct{}

func (suspicious) Opened(*usock.Socket)                                       {}
func (suspicious) Gone(*usock.Socket)                                         {}
func (suspicious) Changed(int64, *usock.Socket, tcp.Condition, tcp.Condition) {}
func (suspicious) Stray(*tcp.Flow) bool                                       { return true }
func (suspicious) Astray([]byte)                                              {}

// With the secret of the one before it numbers go on where that left off, and the server takes the new connection at once, as it would the kernel's.
func TestPortOfAPredecessorWithItsSecret(t *testing.T) {
	portAfterPort(t, &tcp.Secret{1, 2, 3}, func(w *world, n int) bool {
		require.Zero(t, w.host[1].Counters().TCP.PAWSTimewait)
		return n < 20
	})
}

// A program connects from a port that one before it had, with other timestamps, while the server still has that connection in TIME-WAIT: "the
// peer's ACK is of a connection of old times", the reset that ends it is nobody else's, and the connection is there some milliseconds later.
func TestPortOfAPredecessor(t *testing.T) {
	portAfterPort(t, nil, func(w *world, n int) bool {
		require.Less(t, n, 100)
		return w.host[1].Counters().TCP.PAWSTimewait < 5
	})
}

func portAfterPort(t *testing.T, secret *tcp.Secret, more func(w *world, n int) bool) {
	c := config{seed: 17, link: [2]Link{{Delay: ms}, {Delay: ms}}, registry: suspicious{}, secret: secret}
	w := newWorld(t, c)
	c.frames, c.mtu = 2048, 1500
	l, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 128)
	require.NoError(t, err)
	for n := 0; more(w, n); n++ {
		began := w.now
		a := w.connect(40000)
		w.until(second/10, "the client is connected", func() bool { return a.State() == tcp.Established })
		require.Less(t, w.now-began, second/10)
		b := w.accept(l)
		b.Close(w.now)
		w.until(second, "the server's FIN", func() bool { return a.State() == tcp.CloseWait })
		a.Close(w.now)
		w.until(second, "TIME-WAIT", func() bool { return w.host[1].Host().Waits.Len() == 1 })

		next := w.newHost(c, 0)
		w.host[0] = next
		next.plug(w.host[1])
		w.host[1].peer, w.host[1].nic.peer = next, next.nic
	}
}

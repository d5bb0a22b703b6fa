package engine

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// TestListeningAgain: a program that closes its listener and listens again at the same place (iperf3 does, after each test) gets every new
// connection, also one whose handshake the closed listener had begun, but none that waited there; and when that has nothing left it goes.
func TestListeningAgain(t *testing.T) {
	r := newPairRig(t)
	at := netip.AddrPortFrom(ourAddr, 80)
	came := func(port uint16) *usock.Socket {
		s, err := r.peer.Connect(nanotime(), netip.AddrPortFrom(theirAddr, port), at)
		require.NoError(t, err)
		return s
	}
	var err error
	waits := came(30000)
	r.turn()
	opens := came(30001)
	r.peer.Poll(nanotime(), 64)
	r.e.SLPoll() // the SYN, and its answer
	was := r.l
	require.Equal(t, 1, was.sock.Listener().Waiting())
	require.Equal(t, 1, was.sock.Listener().HalfOpens())

	was.kfd, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) // stands for the kernel's listener
	require.NoError(t, err)
	r.e.closeListener(nanotime(), was)
	s, err := r.e.plane.stack.Listen(nanotime(), at, 64)
	require.NoError(t, err)
	r.l = &listener{sock: s, local: at, kfd: -1}
	r.l.h = r.e.bind(s)
	r.e.tab.objects[r.l.h].lis = r.l
	r.e.listeners = append(r.e.listeners, r.l)

	r.peer.Poll(nanotime(), 64) // the handshake's last ACK
	r.e.plane.stack.Poll(nanotime(), 64)
	require.Equal(t, 2, was.sock.Listener().Waiting(), "what it had begun is brought to its end")
	r.e.nextLook = 0
	r.turn()
	require.Equal(t, tcp.Closed, waits.State(), "without a broker nobody else can have it")
	require.Equal(t, tcp.Established, opens.State())
	require.Equal(t, 1, s.Listener().Waiting())
	require.Equal(t, []*listener{r.l}, r.e.listeners)
	var sa Sockaddr
	n := 0
	require.GreaterOrEqual(t, r.e.SLAccept(r.l.h, &sa, &n), 0)
	for port := range uint16(50) {
		r.connect(31000 + port)
	}
}

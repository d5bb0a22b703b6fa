package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
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
	waits := came(30000)
	r.turn()
	opens := came(30001)
	r.peer.Poll(nanotime(), 64)
	r.e.SLPoll(false) // the SYN, and its answer
	was := r.l
	require.Equal(t, 1, was.sock.Listener().Waiting())
	require.Equal(t, 1, was.sock.Listener().HalfOpens())

	r.closes(was)
	r.l = r.listen(80)

	r.peer.Poll(nanotime(), 64) // the handshake's last ACK
	r.e.plane.stack.Poll(nanotime(), 64)
	require.Equal(t, 2, was.sock.Listener().Waiting(), "what it had begun is brought to its end")
	r.e.nextLook = 0
	r.turn()
	require.Equal(t, tcp.Closed, waits.State(), "without a broker nobody else can have it")
	require.Equal(t, tcp.Established, opens.State())
	require.Equal(t, 1, r.l.sock.Listener().Waiting())
	require.Equal(t, []*listener{r.l}, r.e.listens)
	require.Empty(t, r.e.listened)
	var sa Sockaddr
	n := 0
	require.GreaterOrEqual(t, r.e.SLAccept(r.l.h, &sa, &n), 0)
	for port := range uint16(50) {
		r.connect(31000 + port)
	}
}

// TestListenersInTurn: of a listener that is closed nothing stays for long while another is open, but what it has begun. (CPython's test_selectors has
// 10,000 in turn, each with its connection still there: each look went through all of them, and for each through all.)
func TestListenersInTurn(t *testing.T) {
	r := newPairRig(t)
	opens := r.listen(81)
	_, err := r.peer.Connect(nanotime(), netip.AddrPortFrom(theirAddr, 30000), opens.local)
	require.NoError(t, err)
	r.peer.Poll(nanotime(), 64)
	r.e.SLPoll(false)
	require.Equal(t, 1, opens.sock.Listener().HalfOpens())
	r.closes(opens)
	for port := range uint16(100) {
		r.closes(r.listen(1000 + port))
	}
	now := nanotime()
	r.e.look(now)
	require.Len(t, r.e.listened, 101, "a SYN may be on its way")
	r.e.look(now + lateSYN)
	require.Equal(t, []*listener{opens}, r.e.listened)
	require.Equal(t, []*listener{r.l}, r.e.listens)
	n := 0
	r.e.plane.stack.Each(func(*usock.Socket) { n++ })
	require.Equal(t, 2, n, "nor in the stack")
	r.connect(30001)
}

// TestHalfOpenConnectionsAreUrged: before a queue goes SYN-ACKs of what is half open there are repeated, so that no client has it answered by two.
func TestHalfOpenConnectionsAreUrged(t *testing.T) {
	r := newPairRig(t)
	c, err := r.peer.Connect(nanotime(), netip.AddrPortFrom(theirAddr, 30000), netip.AddrPortFrom(ourAddr, 80))
	require.NoError(t, err)
	r.e.SLPoll(false)
	repeated := func() uint64 { return r.e.plane.stack.Host().MIB.RetransSegs }
	now := nanotime()
	r.e.yields = []yield{{event: &proto.Packet{Pidfd: -1}, queues: []proto.QueueRef{{Ifindex: 1}}, until: now + yieldGrace}}
	r.e.giveUp(now)
	require.Zero(t, repeated(), "its answer may be in the rings")
	for _, at := range []struct {
		after int64
		want  uint64
	}{{yieldLook, 1}, {2 * yieldLook, 1}, {yieldGrace/2 + yieldLook, 2}, {yieldGrace - 1, 2}} {
		r.e.giveUp(now + at.after)
		require.EqualValues(t, at.want, repeated(), at.after)
		require.Len(t, r.e.yields, 1)
	}
	r.turn()
	require.Equal(t, tcp.Established, c.State())
	require.Equal(t, 1, r.l.sock.Listener().Waiting())
	r.e.giveUp(now + yieldGrace)
	require.Empty(t, r.e.yields)
	require.EqualValues(t, 2, repeated())
}

// TestALateBrokerTakesNoTimeFromHandshakes: what came while the engine waited for the broker has the time to finish that it would have had.
func TestALateBrokerTakesNoTimeFromHandshakes(t *testing.T) {
	r := newPairRig(t)
	r.lateBroker(time.Duration(yieldGrace) + 50*time.Millisecond)
	c, err := r.peer.Connect(nanotime(), netip.AddrPortFrom(theirAddr, 30000), netip.AddrPortFrom(ourAddr, 80))
	require.NoError(t, err)
	now := nanotime()
	r.e.yields = []yield{{event: &proto.Packet{Pidfd: -1}, queues: []proto.QueueRef{{Ifindex: 1}}, until: now + yieldGrace}}
	_, err = r.e.call(now, proto.OpReady, proto.Ready{}, nil, nil)
	require.NoError(t, err)
	r.e.giveUp(now)
	r.e.plane.stack.Poll(nanotime(), budget)
	require.Equal(t, 1, r.l.sock.Listener().HalfOpens())
	r.e.giveUp(nanotime())
	require.Len(t, r.e.yields, 1)
	r.peer.Poll(nanotime(), 64)
	r.e.plane.stack.Poll(nanotime(), budget)
	require.Equal(t, tcp.Established, c.State())
	require.Equal(t, 1, r.l.sock.Listener().Waiting())
	r.e.giveUp(nanotime())
	require.Empty(t, r.e.yields)
}

package machine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/cabi/engine"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// rig is a machine and the peer's side of one connection to its port 8080.
type rig struct {
	*Machine
	t        *testing.T
	listener int
	seq, ack uint32 // the peer's next number, what it expects
}

var (
	host = netip.MustParseAddrPort("192.168.0.1:8080")
	peer = netip.MustParseAddrPort("192.0.2.1:5000")
)

func newRig(t *testing.T) *rig {
	r := &rig{Machine: New(Config{}), t: t, seq: 1000}
	r.listener = r.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	require.Positive(t, r.listener)
	var sa engine.Sockaddr
	n := engine.PutSockaddr(&sa, host, false)
	require.Zero(t, r.Bind(r.listener, sa[:n]))
	require.Zero(t, r.Listen(r.listener, 1))
	return r
}

// now runs a call that must be over at once.
func (r *rig) now(call func(Caller)) (ret int) {
	over := false
	call(Caller{Reply: func(n int) { ret, over = n, true }})
	require.True(r.t, over)
	return ret
}

// say is a segment of the peer's.
func (r *rig) say(flags wire.Flags, data string) {
	b := make([]byte, wire.IPv4Len+wire.TCPLen, 200)
	b = append(b, data...)
	(&wire.IPv4Fields{TTL: 64, Proto: wire.ProtoTCP, Src: peer.Addr(), Dst: host.Addr(), PayloadLen: wire.TCPLen + len(data)}).Put(b)
	seg := b[wire.IPv4Len:]
	binary.BigEndian.PutUint16(seg, peer.Port())
	binary.BigEndian.PutUint16(seg[2:], host.Port())
	binary.BigEndian.PutUint32(seg[4:], r.seq)
	binary.BigEndian.PutUint32(seg[8:], r.ack)
	seg[12], seg[13] = 5<<4, byte(flags)
	binary.BigEndian.PutUint16(seg[14:], 20000)
	h, err := wire.ParseIPv4(b)
	require.NoError(r.t, err)
	binary.BigEndian.PutUint16(seg[16:], ^wire.Add(wire.Sum(seg), wire.PseudoSum(h.Addrs(), wire.ProtoTCP, len(seg))))
	r.seq += uint32(len(data))
	if flags&(wire.SYN|wire.FIN) != 0 {
		r.seq++
	}
	r.Input(b)
}

// hear is the next segment of the host's.
func (r *rig) hear() wire.TCP {
	ip, _, ok := r.Output()
	require.True(r.t, ok)
	h, err := wire.ParseIPv4(ip)
	require.NoError(r.t, err)
	seg, err := wire.ParseTCP(h.Payload())
	require.NoError(r.t, err)
	r.ack = seg.Seq() + uint32(len(seg.Payload()))
	if seg.Flags()&(wire.SYN|wire.FIN) != 0 {
		r.ack++
	}
	return seg
}

// connect is a handshake; the result is the accepted socket.
func (r *rig) connect() int {
	r.say(wire.SYN, "")
	require.Equal(r.t, wire.SYN|wire.ACK, r.hear().Flags())
	r.say(wire.ACK, "")
	fd := r.now(func(c Caller) { r.Accept(c, r.listener, nil) })
	require.Positive(r.t, fd)
	return fd
}

func (r *rig) recv(c Caller, fd int, buf []byte) { r.Recv(c, fd, [][]byte{buf}, 0, &Received{}) }

func TestBlockingCallEndsWhenItsPacketComes(t *testing.T) {
	r := newRig(t)
	fd := r.connect()
	buf := make([]byte, 100)
	ret, at := 0, int64(0)
	r.recv(Caller{Others: true, Reply: func(n int) { ret, at = n, r.Now() }}, fd, buf)
	r.Sleep(50 * time.Millisecond)
	require.Zero(t, at, "nothing has come")
	want := r.Now()
	r.say(wire.ACK|wire.PSH, "hello")
	require.Equal(t, 5, ret)
	require.Equal(t, want, at)
	require.Equal(t, "hello", string(buf[:5]))
}

func TestTimeGoesFromDeadlineToDeadline(t *testing.T) {
	r := newRig(t)
	fd := r.connect()
	require.Equal(t, 3, r.now(func(c Caller) { r.Send(c, fd, [][]byte{[]byte("abc")}, 0, nil) }))
	require.Equal(t, "abc", string(r.hear().Payload()))
	sent := r.Now()
	require.Equal(t, "abc", string(r.hear().Payload()), "the retransmission")
	require.Greater(t, r.Now()-sent, int64(200*time.Millisecond))
	require.Less(t, r.Now()-sent, int64(4*time.Second))
}

func TestTimeoutOfABlockingCall(t *testing.T) {
	r := newRig(t)
	fd := r.connect()
	tv := make([]byte, 16)
	binary.NativeEndian.PutUint64(tv[8:], 70_000)
	require.Zero(t, r.SetOption(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, tv))
	began := r.Now()
	require.Equal(t, -int(unix.EAGAIN), r.now(func(c Caller) { r.recv(c, fd, make([]byte, 1)) }))
	require.EqualValues(t, 70*time.Millisecond, r.Now()-began)
}

func TestConnectTellsItsEndOnce(t *testing.T) {
	r := newRig(t)
	fd := r.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	var sa engine.Sockaddr
	n := engine.PutSockaddr(&sa, peer, false)
	dial := func() int { return r.now(func(c Caller) { r.Connect(c, fd, sa[:n]) }) }
	require.Equal(t, -int(unix.EINPROGRESS), dial())
	require.Equal(t, -int(unix.EALREADY), dial())
	for {
		if _, _, ok := r.Output(); !ok {
			break // it has given up
		}
	}
	require.Equal(t, unix.ETIMEDOUT, unix.Errno(-dial()))
	require.Equal(t, -int(unix.EINPROGRESS), dial(), "it may try again")
}

func TestEdgeTriggeredEpollTellsOncePerWakeUp(t *testing.T) {
	r := newRig(t)
	fd := r.connect()
	ep := r.EpollCreate(1)
	require.Zero(t, r.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, 7))
	wait := func() (n int) {
		var got EpollEvent
		n = r.now(func(c Caller) { r.EpollWait(c, ep, 1, 0, func(_ int, ev EpollEvent) { got = ev }) })
		if n == 1 {
			require.Equal(t, EpollEvent{usock.PollIn, 7}, got)
		}
		return n
	}
	require.Equal(t, 0, wait())
	r.say(wire.ACK, "x")
	require.Equal(t, 1, wait())
	require.Equal(t, 0, wait(), "nothing has come since")
	r.say(wire.ACK, "y")
	require.Equal(t, 1, wait())
}

func TestFlags(t *testing.T) {
	c, err := ParseFlags("mtu=1520,local=fd3d::7")
	require.NoError(t, err)
	require.Equal(t, Config{MTU: 1520, Local6: netip.MustParseAddr("fd3d::7")}, c)
	for _, bad := range []string{"mtu=5", "mtu=x", "local=here", "speed=9"} {
		_, err := ParseFlags(bad)
		require.Error(t, err, bad)
	}
}

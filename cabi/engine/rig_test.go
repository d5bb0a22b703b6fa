package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/loop"
	"github.com/sluice-net/sluice/fallback/routes"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/usock"
)

var (
	ourAddr   = netip.MustParseAddr("192.0.2.1")
	theirAddr = netip.MustParseAddr("192.0.2.2")
)

// toward is a Router whose every address is the other stack.
type toward struct {
	src netip.Addr
	mac [6]byte
}

func (a toward) Route(dst, _ netip.Addr) (ustack.Hop, error) {
	return ustack.Hop{Ifindex: 1, MTU: 1500, Src: a.src, NextHop: dst, MAC: a.mac, Resolved: true}, nil
}
func (toward) Resolve(int, netip.Addr) {}
func (toward) Generation() uint64      { return 1 }

// pairRig is an engine without a broker, joined to a plain stack by two VIs in memory.
type pairRig struct {
	t    testing.TB
	e    *Engine
	peer *ustack.Stack
	l    *listener
	mem  efvi.Memory // the engine's, and its VI
	vi   efvi.VI
}

func newPairRig(t testing.TB) *pairRig {
	t.Helper()
	mem := [2]efvi.Memory{{Bytes: make([]byte, 2048*efvi.FrameSize)}, {Bytes: make([]byte, 2048*efvi.FrameSize)}}
	ours := efvi.Info{Device: "a", Ifindex: 1, MAC: [6]byte{2, 0, 0, 0, 0, 1}, MTU: 1500}
	a, b := loop.New(mem[0], mem[1], loop.Config{Info: ours})
	theirs := b.Info()
	random, err := newRandom()
	require.NoError(t, err)

	fd, err := proto.NewState()
	require.NoError(t, err)
	state, err := proto.MapState(fd)
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	t.Cleanup(func() { _ = state.Close() })

	r := &pairRig{t: t, e: &Engine{sh: new(Shared), said: map[string]struct{}{}}, mem: mem[0], vi: a}
	if r.e.routes, err = routes.New(200); err != nil {
		t.Skipf("no rtnetlink: %v", err)
	}
	t.Cleanup(r.e.routes.Close)
	r.e.plane = &plane{memFD: -1, stateFD: -1, state: state, stack: ustack.New(ustack.Config{
		Pool: pbuf.New(mem[0].Bytes, efvi.FrameSize), Rand: random, Routes: toward{ourAddr, theirs.MAC},
		Sink: sink{r.e}, Registry: registry{r.e},
	})}
	require.NoError(t, r.e.plane.counters.find(r.e, r.e.plane.stack))
	r.e.plane.stack.AddVI(a)
	r.peer = ustack.New(ustack.Config{Pool: pbuf.New(mem[1].Bytes, efvi.FrameSize), Rand: random, Routes: toward{theirAddr, ours.MAC}})
	r.peer.AddVI(b)

	r.l = r.listen(80)
	return r
}

// listen adds a listener that the kernel has not.
func (r *pairRig) listen(port uint16) *listener {
	at := netip.AddrPortFrom(ourAddr, port)
	s, err := r.e.plane.stack.Listen(nanotime(), at, 64)
	require.NoError(r.t, err)
	l := &listener{sock: s, local: at, kfd: -1}
	l.h = r.e.bind(s)
	r.e.tab.objects[l.h].lis = l
	r.e.listens = append(r.e.listens, l)
	return l
}

// closes is the program's close of a listener.
func (r *pairRig) closes(l *listener) {
	kfd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) // stands for the kernel's listener
	require.NoError(r.t, err)
	l.kfd = kfd
	r.e.closeListener(nanotime(), l)
}

// turn lets both sides go on.
func (r *pairRig) turn() {
	for range 4 {
		r.e.SLPoll(false)
		r.peer.Poll(nanotime(), 64)
	}
}

// connect makes a connection from the peer and returns both ends.
func (r *pairRig) connect(port uint16) (*usock.Socket, int32) {
	r.t.Helper()
	c, err := r.peer.Connect(nanotime(), netip.AddrPortFrom(theirAddr, port), netip.AddrPortFrom(ourAddr, 80))
	require.NoError(r.t, err)
	r.turn()
	var sa Sockaddr
	n := 0
	h := r.e.SLAccept(r.l.h, &sa, &n)
	require.GreaterOrEqual(r.t, h, 0)
	from, _, err := parseSockaddr(sa[:n])
	require.NoError(r.t, err)
	require.Equal(r.t, netip.AddrPortFrom(theirAddr, port), from)
	return c, int32(h)
}

// lateBroker joins the engine to a broker that has one answer for all, yes, after a pause.
func (r *pairRig) lateBroker(pause time.Duration) {
	r.t.Helper()
	door, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(r.t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, proto.MaxMessage)
		next := func(fd int) *proto.Packet {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			p, _ := proto.Read(fd, buf)
			return p
		}
		p := next(door[1])
		if p == nil {
			return
		}
		defer p.CloseFDs()
		for q := next(p.FDs[0]); q != nil; q = next(p.FDs[0]) {
			if q.Op != proto.OpHello {
				time.Sleep(pause)
			}
			q.CloseFDs()
			msg, _ := proto.Encode(proto.Envelope{ID: q.ID, Op: proto.OpReply}, nil)
			_ = proto.Write(p.FDs[0], msg, nil)
		}
	}()
	c, _, err := proto.Open(door[0], proto.Hello{}, time.Minute)
	require.NoError(r.t, err)
	r.e.link.client = c
	r.t.Cleanup(func() {
		c.Close()
		<-ended
		closeAll(door[:])
	})
}

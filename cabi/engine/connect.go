package engine

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/routes"
	"github.com/sluice-net/sluice/ustack/usock"
)

// flow is what the broker steers for one active open.
type flow struct {
	local, remote netip.AddrPort
	kfd           int   // our duplicate of the program's socket, which holds the port; -1: a leased port
	at            int   // in Engine.flows
	port          *port // leased; nil: the program's own
	moved         bool  // the kernel has the connection now
}

// errRefused: the kernel's connect should be used; the reason is wrapped in it.
var errRefused = errors.New("stays with the kernel")

// errGoing is a refusal for the moment.
var errGoing = fmt.Errorf("%w: a queue is about to go", errRefused)

// errWaiting is a refusal for that port: the kernel, to which a port is free once its socket is closed, chose one whose last connection to the
// same peer is in our TIME-WAIT. It would have skipped one of its own's.
var errWaiting = fmt.Errorf("%w: the last connection from that port is in TIME-WAIT", errRefused)

// Connect is sl_connect.
func (e *Engine) Connect(now int64, t target) (int, error) {
	return e.connect(now, t, func(now int64, local, to netip.AddrPort, o *usock.Preset) (*usock.Socket, error) {
		return e.plane.stack.ConnectWith(now, local, to, o)
	})
}

// ConnectFast is sl_connect_data: the second number is how many bytes of data the SYN took.
func (e *Engine) ConnectFast(now int64, kfd int, remote netip.AddrPort, six bool, data [][]byte) (h, sent int, err error) {
	h, err = e.connect(now, target{kfd: kfd, remote: remote, six: six}, func(now int64, local, to netip.AddrPort, o *usock.Preset) (s *usock.Socket, err error) {
		s, sent, err = e.plane.stack.ConnectFast(now, local, to, o, data, 0)
		return s, err
	})
	return h, sent, err
}

// target is what a program connects, and where to.
type target struct {
	kfd    int
	remote netip.AddrPort
	six    bool // the address was of AF_INET6
	fresh  bool // the socket is as socket(2) made it
	chosen bool // its port is the kernel's choice
	blocks bool // the program waits in connect
}

type dialer func(now int64, local, to netip.AddrPort, o *usock.Preset) (*usock.Socket, error)

func (e *Engine) connect(now int64, t target, dial dialer) (int, error) {
	if len(e.yields) > 0 { // they wait for handshakes, and would for this one
		return 0, errGoing
	}
	f, err := e.source(now, &t)
	if err != nil {
		return 0, err
	}
	local, to := f.local, f.remote
	if t.six && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	var o *usock.Preset
	if !t.fresh {
		o = usock.NewPreset() // before the SYN: it tells MSS, window and TOS
		prm := e.plane.stack.Host().Params
		copyOptions(t.kfd, func(level, name int, val []byte) { _ = o.SetOption(prm, level, name, val) })
	}
	now = nanotime() // the broker took its time, which is no part of the first round trip
	s, err := dial(now, local, to, o)
	if err != nil {
		e.dropFlow(f)
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	}
	if t.blocks {
		s.Prompt()
	}
	h := e.bind(s)
	if h < 0 {
		s.Abort(now)
		e.dropFlow(f)
		return 0, fmt.Errorf("%w: no handle free", errRefused)
	}
	e.tab.objects[h].out = f
	s.Ref = f
	e.count(proto.CountConnected)
	return int(h), nil
}

// source finds where a connection comes from: the address and port that the program bound its socket to, else the route's address and a port
// on lease.
func (e *Engine) source(now int64, t *target) (*flow, error) {
	remote := plain(t.remote)
	local, err := t.bound()
	if err != nil {
		return nil, err
	}
	src := local.Addr()
	if src.IsUnspecified() {
		src = netip.Addr{}
	}
	hop, err := e.routes.Route(remote.Addr(), src)
	switch {
	case errors.Is(err, routes.ErrLocal), errors.Is(err, routes.ErrNotUnicast):
		return nil, fmt.Errorf("%w: %v: %w", errRefused, remote, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errRefused, err) // the kernel words it best
	}
	if local.Port() == 0 {
		return e.lease(now, hop.Src.Unmap(), remote)
	}
	f := &flow{local: netip.AddrPortFrom(hop.Src, local.Port()), remote: remote, kfd: -1}
	if e.plane != nil && e.plane.stack.Taken(now, f.local, f.remote) {
		if t.chosen {
			return nil, errWaiting
		}
		return nil, unix.EADDRNOTAVAIL // the kernel, which does not know of that one, would do it
	}
	return f, e.steer(now, f, t.kfd)
}

// bound is the address that the program's socket is bound to, unspecified where it is not.
func (t *target) bound() (netip.AddrPort, error) {
	if t.fresh {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0), nil
	}
	sa, err := unix.Getsockname(t.kfd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address of the socket: %w", err)
	}
	local, six := addrPort(sa)
	if six != t.six { // the kernel words it best
		return local, fmt.Errorf("%w: %v: the socket is of another family", errRefused, t.remote)
	}
	if only, _ := unix.GetsockoptInt(t.kfd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); six && only != 0 && plain(t.remote).Addr().Is4() {
		return local, fmt.Errorf("%w: %v: IPV6_V6ONLY", errRefused, t.remote)
	}
	return local, nil
}

func sockaddrOf(a netip.AddrPort, six bool) unix.Sockaddr {
	if six {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// steer has the broker lead the flow's packets here, before the SYN leaves.
func (e *Engine) steer(now int64, f *flow, kfd int) error {
	var g proto.Grant
	req := proto.Connect{Local: f.local, Remote: f.remote, Devices: e.devices}
	fds, err := e.call(now, proto.OpConnect, req, []int{kfd}, &g)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	f.at = len(e.flows)
	e.flows = append(e.flows, f)
	if err = e.granted(now, &g, fds); err == nil && len(g.VIs) > 0 {
		err = e.readyNow(now)
	}
	if err == nil {
		f.kfd, err = unix.FcntlInt(uintptr(kfd), unix.F_DUPFD_CLOEXEC, e.boot.FDMin)
	}
	if err != nil {
		e.dropFlow(f)
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	e.sh.own(f.kfd)
	return nil
}

// dropEnded drops the flows of connections that are over.
func (e *Engine) dropEnded() {
	for len(e.ended) > 0 {
		f := e.ended[len(e.ended)-1]
		e.ended = e.ended[:len(e.ended)-1]
		e.dropFlow(f)
	}
}

// dropFlow ends the steering of a flow, or frees its port; nil is nothing.
func (e *Engine) dropFlow(f *flow) {
	if f == nil {
		return
	}
	if f.port != nil {
		e.unused(nanotime(), f.port)
		return
	}
	last := len(e.flows) - 1
	if f.at > last || e.flows[f.at] != f {
		return // done already
	}
	e.flows[f.at] = e.flows[last]
	e.flows[f.at].at = f.at
	e.flows[last] = nil
	e.flows = e.flows[:last]
	if f.kfd >= 0 {
		e.drop(f.kfd)
	}
	e.tell(nanotime(), proto.OpDisconnect, proto.Disconnect{Local: f.local, Remote: f.remote})
}

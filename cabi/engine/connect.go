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
	kfd           int // our duplicate of the program's socket, which holds the port
}

// errRefused: the kernel's connect should be used; the reason is wrapped in it.
var errRefused = errors.New("stays with the kernel")

// Connect is sl_connect. six says that the program's address was of AF_INET6.
func (e *Engine) Connect(now int64, kfd int, remote netip.AddrPort, six bool) (int, error) {
	return e.connect(now, kfd, remote, six, func(now int64, local, to netip.AddrPort, o *usock.Preset) (*usock.Socket, error) {
		return e.plane.stack.ConnectWith(now, local, to, o)
	})
}

// ConnectFast is sl_connect_data: the second number is how many bytes of data the SYN took.
func (e *Engine) ConnectFast(now int64, kfd int, remote netip.AddrPort, six bool, data [][]byte) (h, sent int, err error) {
	h, err = e.connect(now, kfd, remote, six, func(now int64, local, to netip.AddrPort, o *usock.Preset) (s *usock.Socket, err error) {
		s, sent, err = e.plane.stack.ConnectFast(now, local, to, o, data)
		return s, err
	})
	return h, sent, err
}

type dialer func(now int64, local, to netip.AddrPort, o *usock.Preset) (*usock.Socket, error)

func (e *Engine) connect(now int64, kfd int, remote netip.AddrPort, six bool, dial dialer) (int, error) {
	f := &flow{remote: plain(remote), kfd: -1}
	var err error
	if f.local, err = e.reserve(kfd, f.remote, six); err != nil {
		return 0, err
	}
	if err := e.steer(now, f, kfd); err != nil {
		return 0, err
	}
	local, to := f.local, f.remote
	if six && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	o := usock.NewPreset() // before the SYN: it tells MSS, window and TOS
	prm := e.plane.stack.Host().Params
	copyOptions(kfd, func(level, name int, val []byte) { _ = o.SetOption(prm, level, name, val) })
	now = nanotime() // the broker took its time, which is no part of the first round trip
	s, err := dial(now, local, to, o)
	if err != nil {
		e.dropFlow(f)
		return 0, fmt.Errorf("%w: %w", errRefused, err)
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

// reserve makes sure that the program's socket has a local address: the route's, and a port of the kernel's choice.
func (e *Engine) reserve(kfd int, remote netip.AddrPort, six bool) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(kfd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address of the socket: %w", err)
	}
	local, bound6 := addrPort(sa)
	if bound6 != six && remote.Addr().Is6() {
		return local, unix.EAFNOSUPPORT
	}
	src := local.Addr()
	if src.IsUnspecified() {
		src = netip.Addr{}
	}
	hop, err := e.routes.Route(remote.Addr(), src)
	switch {
	case errors.Is(err, routes.ErrLocal), errors.Is(err, routes.ErrNotUnicast):
		return local, fmt.Errorf("%w: %v: %w", errRefused, remote, err)
	case err != nil:
		return local, fmt.Errorf("%w: %w", errRefused, err) // the kernel words it best
	}
	if local.Port() != 0 {
		return netip.AddrPortFrom(hop.Src, local.Port()), nil
	}
	// The option leaves the port to connect(2), which the kernel is not asked for.
	if v, err := unix.GetsockoptInt(kfd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT); err == nil && v != 0 {
		_ = unix.SetsockoptInt(kfd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 0)
		defer func() { _ = unix.SetsockoptInt(kfd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) }()
	}
	if err := unix.Bind(kfd, sockaddrOf(netip.AddrPortFrom(hop.Src, 0), bound6)); err != nil {
		return local, fmt.Errorf("%w: bind: %w", errRefused, err)
	}
	if sa, err = unix.Getsockname(kfd); err != nil {
		return local, fmt.Errorf("address of the socket: %w", err)
	}
	local, _ = addrPort(sa)
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

// dropFlow ends the steering of a flow; nil is nothing.
func (e *Engine) dropFlow(f *flow) {
	if f == nil {
		return
	}
	for i := range e.flows {
		if e.flows[i] != f {
			continue
		}
		last := len(e.flows) - 1
		e.flows[i] = e.flows[last]
		e.flows[last] = nil
		e.flows = e.flows[:last]
		if f.kfd >= 0 {
			e.drop(f.kfd)
		}
		e.tell(nanotime(), proto.OpDisconnect, proto.Disconnect{Local: f.local, Remote: f.remote})
		return
	}
}

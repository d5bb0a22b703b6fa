package ustack

import (
	"net/netip"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Connect makes a connection and sends its SYN. An unspecified local address is replaced by the route's; the local
// port must be set.
func (s *Stack) Connect(now int64, local, remote netip.AddrPort) (*usock.Socket, error) {
	return s.ConnectWith(now, local, remote, nil)
}

// ConnectWith is Connect with options other than a fresh socket's. The connection keeps no hold of o; nil is none.
func (s *Stack) ConnectWith(now int64, local, remote netip.AddrPort, o *usock.Preset) (*usock.Socket, error) {
	e, _, err := s.connect(local, remote, o, func(f tcp.Flow, p tcp.Path, opts *tcp.Options) (*tcp.Conn, int, error) {
		return tcp.Dial(now, s.host, f, p, opts), 0, nil
	}, now)
	return e, err
}

// ConnectFast is ConnectWith with data for the SYN, as sendto(2) with MSG_FASTOPEN: the number tells how many bytes of it
// the SYN took; flags are those of sendto(2). tcp.ErrNotSupp when tcp_fastopen forbids it.
func (s *Stack) ConnectFast(now int64, local, remote netip.AddrPort, o *usock.Preset, data [][]byte, flags int) (*usock.Socket, int, error) {
	return s.connect(local, remote, o, func(f tcp.Flow, p tcp.Path, opts *tcp.Options) (*tcp.Conn, int, error) {
		return tcp.DialFast(now, s.host, f, p, opts, data, flags)
	}, now)
}

type dialer func(tcp.Flow, tcp.Path, *tcp.Options) (*tcp.Conn, int, error)

func (s *Stack) connect(local, remote netip.AddrPort, o *usock.Preset, dial dialer, now int64) (*usock.Socket, int, error) {
	ipo := usock.DefaultIPOptions()
	var opts *tcp.Options // nil: shared by all that have the defaults
	if o != nil {
		ipo = o.IP
		if o.TCP != tcp.DefaultOptions() {
			own := o.TCP
			opts = &own
		}
	}
	f, hop, err := s.flowTo(now, local, remote)
	if err != nil {
		return nil, 0, err
	}
	_, n, err := dial(f, tcp.Path{MTU: hop.MTU}, opts)
	if err != nil {
		return nil, 0, err
	}
	e := s.newEndpoint(remote.Addr().Is6(), true, ipo)
	e.setHop(hop)
	e.opened()
	e.Turn(now)
	return &e.Socket, n, nil
}

// Vacant tells whether a connection can begin between the two addresses: none is there, and none in TIME-WAIT that must wait.
func (s *Stack) Vacant(now int64, local, remote netip.AddrPort) bool {
	f := tcp.Flow{Local: local, Remote: remote}
	k := keyOf(f)
	return s.table.find(&k) == nil && !s.host.Waits.Busy(now, &f)
}

// flowTo is the flow of a connection to be, and the first hop of its way.
func (s *Stack) flowTo(now int64, local, remote netip.AddrPort) (f tcp.Flow, hop Hop, err error) {
	local, remote = unmap(local), unmap(remote)
	src := local.Addr()
	if src.IsUnspecified() {
		src = netip.Addr{}
	}
	if hop, err = s.way(remote.Addr(), src); err != nil {
		return f, hop, tcp.ErrNetUnreach
	}
	if s.portFor(hop.device(), nil) == nil {
		return f, hop, tcp.ErrHostUnreach
	}
	f = tcp.Flow{Local: netip.AddrPortFrom(hop.Src, local.Port()), Remote: remote}
	if s.Taken(now, f.Local, f.Remote) {
		return f, hop, tcp.ErrNotAvail
	}
	return f, hop, nil
}

// Taken tells whether there is a connection between the two addresses, or was until a moment ago.
func (s *Stack) Taken(now int64, local, remote netip.AddrPort) bool {
	f := tcp.Flow{Local: unmap(local), Remote: unmap(remote)}
	k := keyOf(f)
	return s.table.find(&k) != nil || s.host.Waits.Busy(now, &f)
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

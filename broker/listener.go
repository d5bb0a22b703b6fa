package broker

import (
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// key names a listener entry: an address and a port. An invalid address stands for every one, an unspecified one for its family.
type key struct {
	ip   netip.Addr
	port uint16
}

func (k key) String() string {
	if !k.ip.IsValid() {
		return "*:" + strconv.Itoa(int(k.port))
	}
	return netip.AddrPortFrom(k.ip, k.port).String()
}

// covers tells whether a connection with this local end belongs to the listener.
func (k key) covers(local netip.AddrPort) bool {
	ip := local.Addr()
	if k.port != local.Port() {
		return false
	}
	switch {
	case !k.ip.IsValid():
		return true
	case k.ip.IsUnspecified():
		return k.ip.Is4() == ip.Is4()
	}
	return k.ip.WithZone("") == ip.WithZone("")
}

// listener is a client's: a kernel listener it showed. The socket itself is not kept, so that closing it frees the port.
type listener struct {
	cookie  uint64
	key     key
	devices []string // the client's choice
	ready   bool     // the engine listens: entries may lead to it
	left    bool     // unlistened; its connections may go on
	leftAt  time.Time
}

// inspectListener learns what the socket is, which the client claims is its listener.
func inspectListener(fd int, s *space) (*listener, error) {
	if err := inspectTCP(fd, s); err != nil {
		return nil, err
	}
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, refuse("the socket does not listen")
	}
	local, v6only, err := boundTo(fd)
	if err != nil {
		return nil, err
	}
	if dev, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); (err != nil || dev != 0) && !local.Addr().IsLinkLocalUnicast() {
		return nil, refuse("the listener is bound to a device (SO_BINDTODEVICE), entries are not")
	}
	k := key{ip: local.Addr().Unmap(), port: local.Port()}
	if k.ip == netip.IPv6Unspecified() && !v6only {
		k.ip = netip.Addr{}
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return nil, refuse("cookie of the listener: %v", err)
	}
	return &listener{cookie: cookie, key: k}, nil
}

// inspectTCP checks that fd is a TCP socket of the namespace.
func inspectTCP(fd int, s *space) error {
	proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	domain, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || err2 != nil {
		return refuse("the descriptor is no socket")
	}
	if proto != unix.IPPROTO_TCP || domain != unix.AF_INET && domain != unix.AF_INET6 {
		return refuse("the socket is not TCP")
	}
	return inSpace(fd, s)
}

// peerOf is the address that a socket is connected to.
func peerOf(fd int) (remote netip.AddrPort, err error) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return remote, refuse("the socket is not connected: %v", err)
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), nil
	}
	return remote, refuse("the socket has no IP address")
}

// boundTo is a socket's local address.
func boundTo(fd int) (local netip.AddrPort, v6only bool, err error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return local, false, refuse("address of the socket: %v", err)
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		local = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		local = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
		on, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		v6only = on != 0
	default:
		return local, false, refuse("the socket has no IP address")
	}
	return local, v6only, nil
}

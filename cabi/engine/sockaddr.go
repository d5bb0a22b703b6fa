package engine

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	sizeInet4 = 16 // struct sockaddr_in
	sizeInet6 = 28 // struct sockaddr_in6
	maxSA     = sizeInet6
)

// Sockaddr has room for either kind of address.
type Sockaddr [maxSA]byte

// putSockaddr writes struct sockaddr_in, or sockaddr_in6 if six (an IPv4 address then as ::ffff:a.b.c.d), and returns its length.
func putSockaddr(b *Sockaddr, a netip.AddrPort, six bool) int {
	*b = Sockaddr{}
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if !six {
		binary.NativeEndian.PutUint16(b[0:], unix.AF_INET)
		ip := a.Addr().Unmap()
		if ip.Is4() {
			v := ip.As4()
			copy(b[4:], v[:])
		}
		return sizeInet4
	}
	binary.NativeEndian.PutUint16(b[0:], unix.AF_INET6)
	v := a.Addr().As16()
	copy(b[8:], v[:])
	return sizeInet6
}

// parseSockaddr reads either kind, and says whether it was of AF_INET6.
func parseSockaddr(b []byte) (a netip.AddrPort, six bool, err error) {
	if len(b) < 2 {
		return a, false, unix.EINVAL
	}
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		if len(b) < sizeInet4 {
			return a, false, unix.EINVAL
		}
		ip := netip.AddrFrom4([4]byte(b[4:8]))
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:])), false, nil
	case unix.AF_INET6:
		if len(b) < sizeInet6 {
			return a, false, unix.EINVAL
		}
		ip := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:])), true, nil
	}
	return a, false, unix.EAFNOSUPPORT
}

// addrPort turns what getsockname and getpeername give into an address, and says whether it is of AF_INET6.
func addrPort(sa unix.Sockaddr) (a netip.AddrPort, six bool) {
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port)), false
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr).Unmap(), uint16(s.Port)), true
	}
	return a, false
}

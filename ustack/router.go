package ustack

import "net/netip"

// Hop is the first step of the way to an address.
type Hop struct {
	Ifindex  int
	MTU      int        // bytes of IP packet
	Src      netip.Addr // our address on that way
	NextHop  netip.Addr
	MAC      [6]byte // of NextHop, if Resolved
	Resolved bool
}

// Router knows the kernel's routes and neighbours. None of its methods blocks.
type Router interface {
	// Route finds the first hop to dst; an invalid src lets it choose. It must not allocate for known destinations.
	Route(dst, src netip.Addr) (Hop, error)
	// Resolve starts to find the MAC address of a neighbour; Generation changes when it is known.
	Resolve(ifindex int, nextHop netip.Addr)
	// Generation changes whenever an earlier answer may have become wrong.
	Generation() uint64
}

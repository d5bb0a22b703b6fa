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
	VLAN     uint16 // IEEE 802.1Q identifier of the tag that frames carry on that way, 0 for none beside the link's own
	Below    int    // number of the device under the VLAN device Ifindex, whose queues carry them; 0 without VLAN
}

// device is the one whose queues carry what goes this way.
func (h *Hop) device() int {
	if h.VLAN != 0 {
		return h.Below
	}
	return h.Ifindex
}

// hops keeps one copy of each Hop: many connections go the same way, and an idle one should cost little.
type hops map[Hop]*Hop

// hopsKept bounds what is remembered of ways that nobody may go any more.
const hopsKept = 1024

func (m *hops) shared(h Hop) *Hop {
	p := (*m)[h]
	if p == nil {
		if *m == nil || len(*m) >= hopsKept {
			*m = hops{} // connections keep the copies they have
		}
		p = new(Hop)
		*p = h
		(*m)[h] = p
	}
	return p
}

// way is the first hop to an address, with an MTU that our interfaces there can carry.
func (s *Stack) way(dst, src netip.Addr) (Hop, error) {
	hop, err := s.routes.Route(dst, src)
	for _, p := range s.ports {
		if p != nil && p.info.Ifindex == hop.device() && p.info.MTU > 0 {
			hop.MTU = min(hop.MTU, p.info.MTU)
		}
	}
	return hop, err
}

// wayGen changes whenever an answer of way may have become wrong.
func (s *Stack) wayGen() uint32 { return uint32(s.routes.Generation()) + s.portGen }

// Router knows the kernel's routes and neighbours. None of its methods blocks.
type Router interface {
	// Route finds the first hop to dst; an invalid src lets it choose. It must not allocate for known destinations.
	Route(dst, src netip.Addr) (Hop, error)
	// Resolve starts to find the MAC address of a neighbour; Generation changes when it is known.
	Resolve(ifindex int, nextHop netip.Addr)
	// Generation changes whenever an earlier answer may have become wrong.
	Generation() uint64
}

package ip

import (
	"net/netip"

	"github.com/sluice-net/sluice/ustack/wire"
)

// HeaderLen is the length of the header that PutHeader writes for an address.
func HeaderLen(a netip.Addr) int {
	if a.Is4() {
		return wire.IPv4Len
	}
	return wire.IPv6Len
}

// Header is what a connection says about its packets.
type Header struct {
	Src, Dst  netip.Addr // both of one version
	TOS       uint8      // DSCP and ECN
	TTL       uint8      // or hop limit
	FlowLabel uint32     // version 6
	Fragment  bool       // version 4: let routers fragment (no path MTU discovery)
	Proto     uint8
}

// Put writes the header of a packet with n bytes of payload into b, which must hold HeaderLen bytes, and returns the
// pseudo-header's sum.
func (l *Layer) Put(b []byte, h *Header, n int) uint16 {
	l.Counters.OutRequests++
	if h.Src.Is4() {
		// An atomic datagram's identification means nothing: "the IPv4 ID field [...] MUST NOT be used for purposes
		// other than fragmentation and reassembly" RFC 6864 §4.1. Linux' SYN-ACKs carry 0 as well.
		f := wire.IPv4Fields{TOS: h.TOS, TTL: h.TTL, Proto: h.Proto, DF: !h.Fragment, Src: h.Src, Dst: h.Dst, PayloadLen: n}
		f.Put(b)
		l.Counters.OutOctets += uint64(n + wire.IPv4Len)
		return wire.PseudoSum(b[12:20], h.Proto, n)
	}
	f := wire.IPv6Fields{TrafficClass: h.TOS, HopLimit: h.TTL, NextHeader: h.Proto, FlowLabel: h.FlowLabel, Src: h.Src, Dst: h.Dst, PayloadLen: n}
	f.Put(b)
	l.Counters.OutOctets += uint64(n + wire.IPv6Len)
	return wire.PseudoSum(b[8:40], h.Proto, n)
}

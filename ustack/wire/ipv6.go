package wire

import "net/netip"

// IPv6Len is the length of the fixed header.
const IPv6Len = 40

// IPv6 is a view of a packet, cut to its payload length.
type IPv6 []byte

// ParseIPv6 checks version and lengths. A jumbogram (payload length 0) is refused as too short for any upper layer.
func ParseIPv6(b []byte) (IPv6, error) { return ParseIPv6Part(b, 0) }

// ParseIPv6Part is ParseIPv6 of the beginning of a packet, its whole header at least, of which up to more bytes lie elsewhere.
func ParseIPv6Part(b []byte, more int) (IPv6, error) {
	if len(b) < IPv6Len {
		return nil, ErrShort
	}
	if b[0]>>4 != 6 {
		return nil, ErrVersion
	}
	total := IPv6Len + int(be.Uint16(b[4:]))
	if total > len(b)+more {
		return nil, ErrShort
	}
	return IPv6(b[:min(total, len(b))]), nil
}

// TotalLen is the length of the whole packet.
func (p IPv6) TotalLen() int { return IPv6Len + int(be.Uint16(p[4:])) }

// TrafficClass is DSCP and ECN.
func (p IPv6) TrafficClass() uint8 { return p[0]<<4 | p[1]>>4 }

// NextHeader is the protocol of what follows the fixed header.
func (p IPv6) NextHeader() uint8 { return p[6] }

// HopLimit is the hop limit.
func (p IPv6) HopLimit() uint8 { return p[7] }

// Src is the source address.
func (p IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(p[8:24])) }

// Dst is the destination address.
func (p IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(p[24:40])) }

// Addrs are source and destination as on the wire, for the pseudo-header.
func (p IPv6) Addrs() []byte { return p[8:40] }

// Payload is what follows the fixed header.
func (p IPv6) Payload() []byte { return p[IPv6Len:] }

// IPv6Fields is a header to encode.
type IPv6Fields struct {
	TrafficClass, HopLimit, NextHeader uint8
	FlowLabel                          uint32
	Src, Dst                           netip.Addr
	PayloadLen                         int
}

// Put writes the header into b, which must hold IPv6Len bytes.
func (f *IPv6Fields) Put(b []byte) {
	be.PutUint32(b, 6<<28|uint32(f.TrafficClass)<<20|f.FlowLabel&0xfffff)
	be.PutUint16(b[4:], uint16(f.PayloadLen))
	b[6], b[7] = f.NextHeader, f.HopLimit
	src, dst := f.Src.As16(), f.Dst.As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
}

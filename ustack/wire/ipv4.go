package wire

import "net/netip"

// IPv4Len is the length of a header without options, the only kind we send.
const IPv4Len = 20

// IPv4 is a view of a packet, cut to its total length (Ethernet pads short ones).
type IPv4 []byte

// ParseIPv4 checks version, lengths and header checksum (RFC 1122 §3.2.1).
func ParseIPv4(b []byte) (IPv4, error) { return ParseIPv4Part(b, 0) }

// ParseIPv4Part is ParseIPv4 of the beginning of a packet, its whole header at least, of which up to more bytes lie elsewhere.
func ParseIPv4Part(b []byte, more int) (IPv4, error) {
	if len(b) < IPv4Len {
		return nil, ErrShort
	}
	if b[0]>>4 != 4 {
		return nil, ErrVersion
	}
	hdr, total := int(b[0]&15)*4, int(be.Uint16(b[2:]))
	if hdr < IPv4Len || total < hdr {
		return nil, ErrHeader
	}
	if total > len(b)+more || hdr > len(b) {
		return nil, ErrShort
	}
	// "A host MUST verify the IP header checksum on every received datagram" RFC 1122 §3.2.1.2
	if hdr == IPv4Len && sumIPv4(b) != 0xffff || hdr > IPv4Len && Sum(b[:hdr]) != 0xffff {
		return nil, ErrChecksum
	}
	return IPv4(b[:min(total, len(b))]), nil
}

// HeaderLen is the length of the header with its options.
func (p IPv4) HeaderLen() int { return int(p[0]&15) * 4 }

// TotalLen is the length of the whole packet.
func (p IPv4) TotalLen() int { return int(be.Uint16(p[2:])) }

// TOS is DSCP and ECN.
func (p IPv4) TOS() uint8 { return p[1] }

// Fragment tells whether this is a piece of a larger packet.
func (p IPv4) Fragment() bool { return be.Uint16(p[6:])&0x3fff != 0 }

// TTL is the time to live.
func (p IPv4) TTL() uint8 { return p[8] }

// Proto is the protocol of the payload.
func (p IPv4) Proto() uint8 { return p[9] }

// Src is the source address.
func (p IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }

// Dst is the destination address.
func (p IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// Addrs are source and destination as on the wire, for the pseudo-header.
func (p IPv4) Addrs() []byte { return p[12:20] }

// Payload is what follows the header.
func (p IPv4) Payload() []byte { return p[p.HeaderLen():] }

// IPv4Fields is a header without options to encode.
type IPv4Fields struct {
	TOS, TTL, Proto uint8
	DF              bool
	ID              uint16
	Src, Dst        netip.Addr
	PayloadLen      int
}

// Put writes the header with its checksum into b, which must hold IPv4Len bytes.
func (f *IPv4Fields) Put(b []byte) {
	b[0], b[1] = 0x45, f.TOS
	be.PutUint16(b[2:], uint16(IPv4Len+f.PayloadLen))
	be.PutUint16(b[4:], f.ID)
	var frag uint16
	if f.DF {
		frag = 0x4000
	}
	be.PutUint16(b[6:], frag)
	b[8], b[9], b[10], b[11] = f.TTL, f.Proto, 0, 0
	src, dst := f.Src.As4(), f.Dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	be.PutUint16(b[10:], ^sumIPv4(b))
}

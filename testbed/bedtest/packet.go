package bedtest

import (
	"encoding/binary"
	"net/netip"
)

// Packet describes a test packet. Zero fields take the plain value for it.
type Packet struct {
	DstMAC, SrcMAC [6]byte
	Src, Dst       netip.AddrPort
	Proto          byte     // default TCP
	Flags          byte     // of TCP
	Seq, Ack       uint32   // of TCP; the window is always 65,535
	Frag           uint16   // IPv4 flags and fragment offset
	Options        []byte   // IPv4 options, a multiple of 4
	Tags           []uint16 // control octets of 802.1Q tags, the outermost first
	Payload        []byte   // behind the TCP header, or behind the IP header of another protocol
}

// TCP flags of Packet.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

const protoTCP = 6

// Bytes makes the Ethernet frame. Checksums are right but for ICMP's, which is left zero: the
// steering program does not look at it.
func (p Packet) Bytes() []byte {
	b := append(append([]byte{}, p.DstMAC[:]...), p.SrcMAC[:]...)
	for _, t := range p.Tags {
		b = append(b, 0x81, 0x00, byte(t>>8), byte(t))
	}
	return append(b, p.ethernetPayload()...)
}

func (p Packet) ethernetPayload() []byte {
	if p.Dst.Addr().Is4() {
		return append([]byte{0x08, 0x00}, p.IP()...)
	}
	return append([]byte{0x86, 0xdd}, p.IP()...)
}

// IP is the packet without Ethernet header, as an ICMP error quotes it.
func (p Packet) IP() []byte {
	proto, body := p.Proto, p.Payload
	if proto == 0 {
		proto = protoTCP
	}
	if proto == protoTCP {
		body = p.tcp(body)
	}
	src, dst := p.Src.Addr().AsSlice(), p.Dst.Addr().AsSlice()
	if p.Dst.Addr().Is6() {
		h := []byte{0x60, 0, 0, 0, 0, 0, proto, 64}
		binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
		return append(append(append(h, src...), dst...), body...)
	}
	h := make([]byte, 12, 60)
	h[0] = 0x45 + byte(len(p.Options)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(p.Options)+len(body)))
	binary.BigEndian.PutUint16(h[6:], p.Frag)
	h[8], h[9] = 64, proto
	h = append(append(append(h, src...), dst...), p.Options...)
	binary.BigEndian.PutUint16(h[10:], ^sum(h))
	return append(h, body...)
}

func (p Packet) tcp(payload []byte) []byte {
	h := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(h[0:], p.Src.Port())
	binary.BigEndian.PutUint16(h[2:], p.Dst.Port())
	binary.BigEndian.PutUint32(h[4:], p.Seq)
	binary.BigEndian.PutUint32(h[8:], p.Ack)
	h[12], h[13] = 5<<4, p.Flags
	binary.BigEndian.PutUint16(h[14:], 0xffff)
	h = append(h, payload...)
	pseudo := append(p.Src.Addr().AsSlice(), p.Dst.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(append(pseudo, 0, protoTCP), uint32(len(h)))
	binary.BigEndian.PutUint16(h[16:], ^sum(append(pseudo, h...)))
	return h
}

// sum is the ones' complement sum of RFC 1071.
func sum(b []byte) uint16 {
	var s uint32
	for i, v := range b {
		s += uint32(v) << (8 * (^i & 1))
	}
	s = s&0xffff + s>>16
	return uint16(s + s>>16)
}

package sim

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/ustack/wire"
)

// reparse is what a packet still means after bits of it flipped: the same if only fields that no checksum covers did,
// else nothing.
func (w *world) reparse(p *packet) *segment {
	if p.seg == nil || !intact(p.data, p.to) {
		return nil
	}
	return p.seg
}

func intact(b []byte, to *nic) bool {
	e := wire.EthernetLen
	if [6]byte(b[:6]) != to.info.MAC {
		return false
	}
	var addrs, seg []byte
	switch binary.BigEndian.Uint16(b[12:]) {
	case wire.TypeIPv4:
		ip, err := wire.ParseIPv4(b[e:])
		if err != nil || ip.Proto() != wire.ProtoTCP || ip.Fragment() {
			return false
		}
		addrs, seg = ip.Addrs(), ip.Payload()
	case wire.TypeIPv6:
		ip, err := wire.ParseIPv6(b[e:])
		if err != nil || ip.NextHeader() != wire.ProtoTCP {
			return false
		}
		addrs, seg = ip.Addrs(), ip.Payload()
	}
	t, err := wire.ParseTCP(seg)
	return err == nil && wire.ChecksumOK(seg, wire.PseudoSum(addrs, wire.ProtoTCP, len(seg)), t.Checksum(), false)
}

// congested marks a packet whose sender understands it: "the CE codepoint [...] set by a router to indicate congestion"
// RFC 3168 §5.
func congested(b []byte) {
	if len(b) < wire.EthernetLen+wire.IPv4Len {
		return
	}
	ip := b[wire.EthernetLen:]
	switch {
	case ip[0]>>4 == 4 && ip[1]&3 != 0:
		ip[1] |= 3
		fixIP(b)
	case ip[0]>>4 == 6 && ip[1]>>4&3 != 0:
		ip[1] |= 3 << 4
	}
}

// ecn are the two bits of an IP header.
func ecn(ip []byte) byte {
	if ip[0]>>4 == 4 {
		return ip[1] & 3
	}
	return ip[1] >> 4 & 3
}

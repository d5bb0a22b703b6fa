package ip

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/sluice-net/sluice/ustack/wire"
)

// FuzzInput feeds any bytes as an IPv4 or IPv6 packet, after its checksums were made right if fix says so, and what it
// carries as an ICMP error. What is accepted lies within the packet; an error names a flow and a sequence number that the
// quoted packet has.
func FuzzInput(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		for _, kind := range [][2]byte{{3, 1}, {3, 4}, {11, 0}, {12, 0}, {1, 4}, {2, 0}, {4, 1}} {
			f.Add(errorPacket(v6, kind, 28), v6, true)
		}
		f.Add(errorPacket(v6, [2]byte{3, 4}, 8), v6, true)
	}
	f.Add([]byte{0x46, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 131, 4, 4, 0}, false, true)
	f.Fuzz(func(t *testing.T, b []byte, v6, fix bool) {
		b = append([]byte(nil), b...)
		typ := uint16(wire.TypeIPv4)
		if v6 {
			typ = wire.TypeIPv6
		}
		if fix {
			fixSums(b, v6)
		}
		var l Layer
		var p Packet
		if !l.Input(typ, b, 0, &p) {
			return
		}
		if len(p.Raw) > len(b) || len(p.Payload) > len(p.Raw) || p.Src().Is4() == v6 {
			t.Fatalf("%d bytes of payload in a packet of %d in %d", len(p.Payload), len(p.Raw), len(b))
		}
		cut := max(len(b)*3/4, min(len(b), 60)) // the same packet in two frames
		var q Packet
		if !l.Input(typ, b[:cut], len(b)-cut, &q) || len(q.Payload)+q.More != len(p.Payload) || q.Pseudo != p.Pseudo || q.More > len(b)-cut {
			t.Fatalf("cut at %d: %+v instead of %+v", cut, q, p)
		}
		if p.Proto != wire.ProtoICMP && p.Proto != wire.ProtoICMPv6 {
			return
		}
		var u Unreach
		if !l.Error(&p, &u) {
			return
		}
		if u.Local.Addr().Is4() != (p.Proto == wire.ProtoICMP) || u.Kind == ErrNone || u.MTU < 0 || u.MTU > 1<<20 {
			t.Fatalf("%+v", u)
		}
	})
}

// errorPacket is an ICMP error with n bytes of the quoted packet's TCP header.
func errorPacket(v6 bool, kind [2]byte, n int) []byte {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	head, proto, tcp := wire.IPv4Len, uint8(wire.ProtoICMP), make([]byte, 28)
	if v6 {
		a, b = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		head, proto = wire.IPv6Len, wire.ProtoICMPv6
	}
	(&wire.TCPFields{SrcPort: 80, DstPort: 4000, Seq: 77, Flags: wire.ACK}).Put(tcp)
	put := func(at []byte, proto uint8, n int) {
		if v6 {
			(&wire.IPv6Fields{HopLimit: 9, NextHeader: proto, Src: a, Dst: b, PayloadLen: n}).Put(at)
		} else {
			(&wire.IPv4Fields{TTL: 9, Proto: proto, Src: a, Dst: b, PayloadLen: n}).Put(at)
		}
	}
	out := make([]byte, 2*head+wire.ICMPLen+n)
	put(out, proto, wire.ICMPLen+head+n)
	copy(out[head:], kind[:])
	binary.BigEndian.PutUint32(out[head+4:], 1400)
	put(out[head+wire.ICMPLen:], wire.ProtoTCP, 28)
	copy(out[2*head+wire.ICMPLen:], tcp)
	fixSums(out, v6)
	return out
}

// fixSums makes the checksums of IP and ICMP right, as far as there is room for them.
func fixSums(b []byte, v6 bool) {
	head, pseudo := wire.IPv6Len, uint16(0)
	if !v6 {
		if len(b) < wire.IPv4Len {
			return
		}
		head = max(int(b[0]&15)*4, wire.IPv4Len)
		if head > len(b) {
			return
		}
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], ^wire.Sum(b[:head]))
		b = b[:max(min(len(b), int(binary.BigEndian.Uint16(b[2:]))), head)]
	} else {
		if len(b) < wire.IPv6Len {
			return
		}
		b = b[:min(len(b), wire.IPv6Len+int(binary.BigEndian.Uint16(b[4:])))]
		pseudo = wire.PseudoSum(b[8:40], wire.ProtoICMPv6, len(b)-head)
	}
	if m := b[head:]; len(m) >= wire.ICMPLen {
		m[2], m[3] = 0, 0
		binary.BigEndian.PutUint16(m[2:], ^wire.Add(pseudo, wire.Sum(m)))
	}
}

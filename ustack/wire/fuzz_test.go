package wire

import (
	"net/netip"
	"testing"
)

// FuzzTCPOptions: what is read from any bytes can be written, in at most 40 bytes, and reads as the same again.
func FuzzTCPOptions(f *testing.F) {
	for _, s := range []string{"\x01\x01\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x02", "\x02\x04\x05\xb4\x04\x02\x08\x0a1234567\x00\x01\x03\x03\x07",
		"\x01\x01\x05\x12aaaabbbbccccdddd", "\x05\x22aaaabbbbccccddddeeeeffffgggghhhh", "\x22\x0a12345678", "\x03\x00", "\x02", "\x00\x02\x04"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again TCPOptions
		o.Parse(b)
		if o.NSACK > MaxSACK || int(o.CookieLen) > len(o.Cookie) {
			t.Fatalf("%d blocks, a cookie of %d bytes", o.NSACK, o.CookieLen)
		}
		if o.Len() > TCPMaxOptions {
			return // no segment can carry all of it: parsed from more than 40 bytes
		}
		buf := make([]byte, TCPMaxOptions)
		n := o.Put(buf)
		if n != o.Len() || n%4 != 0 {
			t.Fatalf("wrote %d bytes, announced %d", n, o.Len())
		}
		again.Parse(buf[:n])
		clearUnset(&o)
		clearUnset(&again)
		if o != again {
			t.Fatalf("%+v became %+v", o, again)
		}
	})
}

// clearUnset zeroes what Set and the counts say is not there.
func clearUnset(o *TCPOptions) {
	o.Set &^= HasMD5 // is never sent
	if !o.Has(HasMSS) {
		o.MSS = 0
	}
	if !o.Has(HasWScale) {
		o.WScale = 0
	}
	if !o.Has(HasTimestamp) {
		o.TSVal, o.TSEcr = 0, 0
	}
	if !o.Has(HasFastOpen) {
		o.CookieLen = 0
	}
	clear(o.SACK[o.NSACK:])
	clear(o.Cookie[o.CookieLen:])
}

// FuzzHeaders: a header that is accepted lies within the packet, as does its payload; nothing reads beyond.
func FuzzHeaders(f *testing.F) {
	b := make([]byte, 60)
	(&IPv4Fields{TTL: 64, Proto: ProtoTCP, Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"), PayloadLen: 40}).Put(b)
	(&TCPFields{SrcPort: 1, DstPort: 2, Flags: ACK}).Put(b[20:])
	f.Add(b)
	b = make([]byte, 80)
	(&IPv6Fields{HopLimit: 64, NextHeader: ProtoTCP, Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2"), PayloadLen: 40}).Put(b)
	f.Add(b)
	f.Add([]byte{0x4f, 0, 0, 60, 0, 0, 0, 0, 64, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:len(b):len(b)]
		inside := func(what string, p []byte) {
			if len(p) > len(b) {
				t.Fatalf("%s: %d bytes of a packet of %d", what, len(p), len(b))
			}
		}
		if e, err := ParseEthernet(b); err == nil {
			_, _, _ = e.Dst(), e.Src(), e.Type()
			if _, _, p, err := e.Untag(); err == nil {
				inside("tagged", p)
			}
			inside("ethernet", e.Payload())
		}
		if p, err := ParseIPv4(b); err == nil {
			_, _, _, _, _, _, _ = p.TOS(), p.TTL(), p.Proto(), p.Src(), p.Dst(), p.Addrs(), p.Fragment()
			inside("ipv4", p.Payload())
			if len(p.Payload())+p.HeaderLen() != len(p) {
				t.Fatalf("a header of %d and a payload of %d make %d", p.HeaderLen(), len(p.Payload()), len(p))
			}
		}
		if p, err := ParseIPv6(b); err == nil {
			_, _, _, _, _ = p.TrafficClass(), p.NextHeader(), p.Src(), p.Dst(), p.Addrs()
			inside("ipv6", p.Payload())
		}
		if h, err := ParseTCP(b); err == nil {
			var o TCPOptions
			o.Parse(h.Options())
			_, _, _, _, _ = h.SrcPort(), h.Seq(), h.Window(), h.Urgent(), h.Checksum()
			inside("tcp", h.Payload())
		}
		if m, err := ParseICMP(b); err == nil {
			_, _, _, _, _ = m.Type(), m.Code(), m.MTU4(), m.MTU6(), m.Checksum()
			inside("icmp", m.Quoted())
		}
	})
}

// FuzzSum: the fast sum is RFC 1071's, whole and in pieces at any even place.
func FuzzSum(f *testing.F) {
	f.Add([]byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}, uint16(2))
	f.Add(make([]byte, 65), uint16(31))
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		want := plainSum(b)
		dst := make([]byte, len(b))
		if got := Sum(b); got != want {
			t.Fatalf("%04x, not %04x", got, want)
		}
		if got := CopySum(dst, b); got != want || string(dst) != string(b) {
			t.Fatalf("copying: %04x, not %04x", got, want)
		}
		cut := int(at) % (len(b) + 1) &^ 1
		if got := Add(Sum(b[:cut]), Sum(b[cut:])); ^got != ^want && got != 0xffff && want != 0xffff {
			t.Fatalf("in two pieces: %04x, not %04x", got, want)
		}
	})
}

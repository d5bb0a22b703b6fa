package ip

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/wire"
)

// icmpError builds an ICMP message about a segment of ours from port 80 to port 1024 numbered 7.
func icmpError(v6 bool, typ, code byte, rest uint32) []byte {
	src, dst, proto, router := us4, peer4, uint8(wire.ProtoICMP), netip.MustParseAddr("198.51.100.1")
	if v6 {
		src, dst, proto, router = us6, peer6, wire.ProtoICMPv6, netip.MustParseAddr("2001:db8::99")
	}
	seg := make([]byte, wire.TCPLen)
	(&wire.TCPFields{SrcPort: 80, DstPort: 1024, Seq: 7}).Put(seg)
	m := append([]byte{typ, code, 0, 0}, binary.BigEndian.AppendUint32(nil, rest)...)
	m = append(m, packet(src, dst, wire.ProtoTCP, seg)...)
	var pseudo uint16
	out := packet(router, src, proto, m)
	if v6 {
		pseudo = wire.PseudoSum(out[8:40], proto, len(m))
	}
	body := out[HeaderLen(src):]
	binary.BigEndian.PutUint16(body[2:], ^wire.Add(pseudo, wire.Sum(m)))
	return out
}

func read(t *testing.T, v6 bool, b []byte) (*Layer, Unreach, bool) {
	var l Layer
	var p Packet
	var u Unreach
	typ := uint16(wire.TypeIPv4)
	if v6 {
		typ = wire.TypeIPv6
	}
	require.True(t, l.Input(typ, b, 0, &p))
	ok := l.Error(&p, &u)
	return &l, u, ok
}

func TestErrorsMeanWhatTheKernelTakesThemFor(t *testing.T) {
	for _, c := range []struct {
		name      string
		v6        bool
		typ, code byte
		rest      uint32
		want      Unreach
	}{
		{"fragmentation needed", false, 3, 4, 1400, Unreach{Kind: ErrTooBig, MTU: 1400}},
		{"fragmentation needed, old router", false, 3, 4, 0, Unreach{Kind: ErrTooBig}},
		{"port", false, 3, 3, 0, Unreach{Kind: ErrPort, Hard: true}},
		{"host", false, 3, 1, 0, Unreach{Kind: ErrHost, NoWay: true, Forget: true}},
		{"filtered", false, 3, 13, 0, Unreach{Kind: ErrHost, Hard: true}},
		{"time exceeded", false, 11, 0, 0, Unreach{Kind: ErrHost, Forget: true}},
		{"too big", true, 2, 0, 1300, Unreach{Kind: ErrTooBig, MTU: 1300}},
		{"port, version 6", true, 1, 4, 0, Unreach{Kind: ErrPort, Hard: true, Forget: true}},
		{"no route, version 6", true, 1, 0, 0, Unreach{Kind: ErrNet, NoWay: true}},
	} {
		_, got, ok := read(t, c.v6, icmpError(c.v6, c.typ, c.code, c.rest))
		require.True(t, ok, c.name)
		c.want.Local, c.want.Remote, c.want.Seq = netip.AddrPortFrom(us4, 80), netip.AddrPortFrom(peer4, 1024), 7
		if c.v6 {
			c.want.Local, c.want.Remote = netip.AddrPortFrom(us6, 80), netip.AddrPortFrom(peer6, 1024)
		}
		require.Equal(t, c.want, got, c.name)
	}
}

func TestErrorsThatSayNothing(t *testing.T) {
	for name, b := range map[string][]byte{
		"echo":            icmpError(false, 8, 0, 0),
		"redirect":        icmpError(false, 5, 1, 0),
		"code past table": icmpError(false, 3, 99, 0),
	} {
		_, _, ok := read(t, false, b)
		require.False(t, ok, name)
	}
	b := icmpError(false, 3, 3, 0)
	b[len(b)-1] ^= 1
	l, _, ok := read(t, false, b)
	require.False(t, ok)
	require.EqualValues(t, 1, l.Counters.IcmpInCsumErrors)
	for cut := range len(b) - wire.IPv4Len { // a quoted packet cut anywhere is never read past its end
		m := append([]byte(nil), b[:wire.IPv4Len+cut]...)
		var p Packet
		var u Unreach
		(&Layer{}).Error(&Packet{Proto: wire.ProtoICMP, Payload: m[wire.IPv4Len:]}, &u)
		_ = p
	}
}

package ip

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/wire"
)

var (
	us4, peer4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	us6, peer6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
)

func packet(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	var l Layer
	n := HeaderLen(src)
	b := make([]byte, n+len(payload))
	l.Put(b, &Header{Src: src, Dst: dst, TTL: 64, TOS: CE, Proto: proto}, len(payload))
	copy(b[n:], payload)
	return b
}

func TestWhatPutWritesInputReads(t *testing.T) {
	for _, c := range []struct {
		src, dst netip.Addr
		typ      uint16
	}{{peer4, us4, wire.TypeIPv4}, {peer6, us6, wire.TypeIPv6}} {
		var l Layer
		var p Packet
		require.True(t, l.Input(c.typ, append(packet(c.src, c.dst, wire.ProtoTCP, []byte("payload")), 0, 0), 0, &p))
		require.Equal(t, c.src, p.Src())
		require.Equal(t, c.dst, p.Dst())
		require.Equal(t, "payload", string(p.Payload), "Ethernet padding is cut off")
		require.EqualValues(t, CE, p.ECN)
		require.EqualValues(t, 64, p.TTL)
		require.EqualValues(t, 1, l.Counters.InReceives)
	}
}

func TestInputRefuses(t *testing.T) {
	edit := func(b []byte, f func([]byte)) []byte {
		f(b)
		if b[0]>>4 == 4 {
			b[10], b[11] = 0, 0
			s := ^wire.Sum(b[:int(b[0]&15)*4])
			b[10], b[11] = byte(s>>8), byte(s)
		}
		return b
	}
	good := func() []byte { return packet(peer4, us4, wire.ProtoTCP, make([]byte, 20)) }
	for _, c := range []struct {
		name string
		typ  uint16
		b    []byte
		want Counters
	}{
		{"empty", wire.TypeIPv4, nil, Counters{InTruncatedPkts: 1}},
		{"version", wire.TypeIPv4, packet(peer6, us6, 6, nil), Counters{InHdrErrors: 1}},
		{"first fragment", wire.TypeIPv4, edit(good(), func(b []byte) { b[6] |= 0x20 }), Counters{ReasmFails: 1}},
		{"last fragment", wire.TypeIPv4, edit(good(), func(b []byte) { b[7] = 1 }), Counters{ReasmFails: 1}},
		{"source route", wire.TypeIPv4, edit(good(), func(b []byte) { b[0] = 0x46; copy(b[20:], []byte{131, 3, 4, 0}) }), Counters{InHdrErrors: 1}},
		{"broken option", wire.TypeIPv4, edit(good(), func(b []byte) { b[0] = 0x46; copy(b[20:], []byte{7, 9, 4, 0}) }), Counters{InHdrErrors: 1}},
		{"multicast source", wire.TypeIPv4, packet(netip.MustParseAddr("224.0.0.1"), us4, 6, nil), Counters{InAddrErrors: 1}},
		{"broadcast destination", wire.TypeIPv4, packet(peer4, netip.MustParseAddr("255.255.255.255"), 6, nil), Counters{InAddrErrors: 1}},
		{"loopback source", wire.TypeIPv4, packet(netip.MustParseAddr("127.0.0.1"), us4, 6, nil), Counters{InAddrErrors: 1}},
		{"multicast destination", wire.TypeIPv6, packet(peer6, netip.MustParseAddr("ff02::1"), 6, nil), Counters{InAddrErrors: 1}},
		{"mapped source", wire.TypeIPv6, packet(netip.MustParseAddr("::ffff:192.0.2.2"), us6, 6, nil), Counters{InAddrErrors: 1}},
	} {
		var l Layer
		var p Packet
		require.False(t, l.Input(c.typ, c.b, 0, &p), c.name)
		c.want.InReceives, c.want.InOctets = 1, uint64(len(c.b))
		require.Equal(t, c.want, l.Counters, c.name)
	}
}

func TestInputDoesNotAllocate(t *testing.T) {
	var l Layer
	var p Packet
	b := packet(peer4, us4, wire.ProtoTCP, make([]byte, 100))
	require.Zero(t, testing.AllocsPerRun(100, func() { l.Input(wire.TypeIPv4, b, 0, &p) }))
}

package wire

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	a4, b4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	a6, b6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
)

func TestEthernetRoundTrip(t *testing.T) {
	b := make([]byte, 20)
	(&EthernetFields{Dst: [6]byte{1}, Src: [6]byte{2}, Type: TypeIPv6}).Put(b)
	e, err := ParseEthernet(b)
	require.NoError(t, err)
	require.Equal(t, [6]byte{1}, e.Dst())
	require.Equal(t, [6]byte{2}, e.Src())
	require.EqualValues(t, TypeIPv6, e.Type())
	require.Len(t, e.Payload(), 6)
	_, err = ParseEthernet(b[:13])
	require.ErrorIs(t, err, ErrShort)
}

func TestIPv4RoundTrip(t *testing.T) {
	b := make([]byte, 60)
	(&IPv4Fields{TOS: 2, TTL: 64, Proto: ProtoTCP, DF: true, ID: 7, Src: a4, Dst: b4, PayloadLen: 20}).Put(b)
	p, err := ParseIPv4(b)
	require.NoError(t, err)
	require.Len(t, p.Payload(), 20, "Ethernet padding is cut off")
	require.Equal(t, a4, p.Src())
	require.Equal(t, b4, p.Dst())
	require.EqualValues(t, 2, p.TOS())
	require.False(t, p.Fragment(), "DF is no fragment")
}

func TestIPv4Refused(t *testing.T) {
	good := make([]byte, 40)
	(&IPv4Fields{TTL: 64, Proto: ProtoTCP, Src: a4, Dst: b4, PayloadLen: 20}).Put(good)
	for _, c := range []struct {
		name string
		edit func(b []byte) []byte
		want error
	}{
		{"cut header", func(b []byte) []byte { return b[:19] }, ErrShort},
		{"cut payload", func(b []byte) []byte { return b[:39] }, ErrShort},
		{"version", func(b []byte) []byte { b[0] = 0x65; return b }, ErrVersion},
		{"header length 4", func(b []byte) []byte { b[0] = 0x44; return b }, ErrHeader},
		{"header longer than packet", func(b []byte) []byte { b[0], b[3] = 0x4f, 40; return b }, ErrHeader},
		{"checksum", func(b []byte) []byte { b[8]--; return b }, ErrChecksum},
	} {
		_, err := ParseIPv4(c.edit(append([]byte(nil), good...)))
		require.ErrorIs(t, err, c.want, c.name)
	}
}

func TestIPv6RoundTrip(t *testing.T) {
	b := make([]byte, 70)
	(&IPv6Fields{TrafficClass: 0xa3, HopLimit: 64, NextHeader: ProtoTCP, FlowLabel: 0x12345, Src: a6, Dst: b6, PayloadLen: 20}).Put(b)
	p, err := ParseIPv6(b)
	require.NoError(t, err)
	require.Len(t, p.Payload(), 20)
	require.EqualValues(t, 0xa3, p.TrafficClass())
	require.Equal(t, a6, p.Src())
	require.Equal(t, b6, p.Dst())
	_, err = ParseIPv6(b[:59])
	require.ErrorIs(t, err, ErrShort)
}

func TestTCPRoundTrip(t *testing.T) {
	o := TCPOptions{Set: HasTimestamp, TSVal: 1, TSEcr: 2}
	f := TCPFields{SrcPort: 80, DstPort: 1024, Seq: 5, Ack: 6, Flags: ACK | PSH, Window: 100, Urgent: 3, Options: &o}
	b := make([]byte, 64)
	n := f.Put(b)
	require.Equal(t, f.Len(), n)
	h, err := ParseTCP(b)
	require.NoError(t, err)
	require.Equal(t, TCPFields{SrcPort: 80, DstPort: 1024, Seq: 5, Ack: 6, Flags: ACK | PSH, Window: 100, Urgent: 3},
		TCPFields{SrcPort: h.SrcPort(), DstPort: h.DstPort(), Seq: h.Seq(), Ack: h.Ack(), Flags: h.Flags(), Window: h.Window(), Urgent: h.Urgent()})
	require.Len(t, h.Payload(), 32)
	require.Equal(t, "P.", h.Flags().String())
	b[12] = 4 << 4
	_, err = ParseTCP(b)
	require.ErrorIs(t, err, ErrHeader)
	b[12] = 15 << 4
	_, err = ParseTCP(b[:59])
	require.ErrorIs(t, err, ErrShort)
}

package wire

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// apart is what the headers' own types write.
func (s *Segment4) apart() []byte {
	b := make([]byte, s.Len())
	(&EthernetFields{Dst: *s.DstMAC, Src: *s.SrcMAC, Type: TypeIPv4}).Put(b)
	p := b[EthernetLen:]
	n := len(p) - IPv4Len
	(&IPv4Fields{TOS: s.TOS, TTL: s.TTL, Proto: ProtoTCP, DF: s.DF, Src: netip.AddrFrom4(s.Src), Dst: netip.AddrFrom4(s.Dst), PayloadLen: n + s.N}).Put(p)
	pseudo := PseudoSum(p[12:IPv4Len], ProtoTCP, n+s.N)
	f := TCPFields{SrcPort: s.SrcPort, DstPort: s.DstPort, Seq: s.Seq, Ack: s.Ack, Flags: s.Flags, Window: s.Window, Urgent: s.Urgent}
	if s.TS {
		f.Options = &TCPOptions{Set: HasTimestamp, TSVal: s.TSVal, TSEcr: s.TSEcr}
	}
	f.Put(p[IPv4Len:])
	if s.Partial {
		PutTCPPartial(p[IPv4Len:], pseudo)
	} else {
		PutTCPChecksum(p[IPv4Len:], n, pseudo, s.Sum)
	}
	return b
}

func TestSegment4IsWhatItsHeadersAreApart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	word := func() uint32 { // the edges of carries, now and then
		return []uint32{r.Uint32(), 0, 0xffffffff, 0xffff, 0xffff0000}[max(0, r.IntN(12)-7)]
	}
	for range 20000 {
		var macs [12]byte
		for i := range macs {
			macs[i] = byte(r.Uint32())
		}
		s := Segment4{
			DstMAC: (*[6]byte)(macs[:]), SrcMAC: (*[6]byte)(macs[6:]), SrcPort: uint16(word()), DstPort: uint16(word()), Seq: word(), Ack: word(),
			TSVal: word(), TSEcr: word(), Window: uint16(word()), Urgent: uint16(word()), TOS: uint8(word()), TTL: uint8(word()),
			Flags: Flags(word()), DF: r.IntN(2) > 0, TS: r.IntN(2) > 0, Partial: r.IntN(3) == 0, Sum: uint16(word()), N: r.IntN(9000),
		}
		be.PutUint32(s.Src[:], word())
		be.PutUint32(s.Dst[:], word())
		got := make([]byte, s.Len())
		for i := range got {
			got[i] = 0xaa
		}
		s.Put(got)
		require.Equal(t, s.apart(), got, "%+v", s)
	}
	s := Segment4{DstMAC: new([6]byte), SrcMAC: new([6]byte)}
	require.Zero(t, testing.AllocsPerRun(100, func() { var b [66]byte; s.Put(b[:s.Len()]) }))
}

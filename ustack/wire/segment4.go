package wire

// Segment4 is all headers of a segment as nearly all are: over IPv4, without a tag or any option but the timestamp. Put writes them in one go,
// and sums what it writes as it has it at hand instead of reading it again. The bytes are those that EthernetFields, IPv4Fields and
// TCPFields write.
type Segment4 struct {
	DstMAC, SrcMAC   *[6]byte
	Src, Dst         [4]byte
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	TSVal, TSEcr     uint32
	Window, Urgent   uint16
	TOS, TTL         uint8
	Flags            Flags
	DF, TS           bool // may not be fragmented; has a timestamp
	Partial          bool // a device finishes the checksum
	Sum              uint16
	N                int // bytes of payload, and Sum theirs unless Partial
}

// timestampHead is what stands before the two numbers of the timestamp option, aligned as in RFC 7323, appendix A.
const timestampHead = optNOP<<24 | optNOP<<16 | optTimestamp<<8 | 10

// Len is the length of the headers.
func (s *Segment4) Len() int {
	if s.TS {
		return EthernetLen + IPv4Len + TCPLen + 12
	}
	return EthernetLen + IPv4Len + TCPLen
}

// Put writes the headers into b, which must be Len bytes long.
func (s *Segment4) Put(b []byte) {
	copy(b[0:6], s.DstMAC[:])
	copy(b[6:12], s.SrcMAC[:])
	be.PutUint16(b[12:], TypeIPv4)
	s.putTCP(b[EthernetLen+IPv4Len:], s.putIP(b[EthernetLen:EthernetLen+IPv4Len], len(b)-EthernetLen+s.N))
}

// putIP writes the header of a packet of that length, and returns the sum of the pseudo-header, not folded.
func (s *Segment4) putIP(b []byte, length int) uint64 {
	_ = b[IPv4Len-1]
	first, third := 0x45<<24|uint32(s.TOS)<<16|uint32(length), uint32(s.TTL)<<24|ProtoTCP<<16
	var second uint32
	if s.DF {
		second = 0x4000
	}
	addrs := uint64(be.Uint32(s.Src[:])) + uint64(be.Uint32(s.Dst[:]))
	be.PutUint32(b, first)
	be.PutUint32(b[4:], second)
	be.PutUint32(b[8:], third|uint32(^fold(uint64(first)+uint64(second)+uint64(third)+addrs)))
	copy(b[12:16], s.Src[:])
	copy(b[16:20], s.Dst[:])
	return addrs + uint64(length-IPv4Len) + ProtoTCP
}

func (s *Segment4) putTCP(b []byte, pseudo uint64) {
	_ = b[TCPLen-1]
	ports := uint32(s.SrcPort)<<16 | uint32(s.DstPort)
	fourth := uint32(len(b)/4)<<28 | uint32(s.Flags)<<16 | uint32(s.Window)
	be.PutUint32(b, ports)
	be.PutUint32(b[4:], s.Seq)
	be.PutUint32(b[8:], s.Ack)
	be.PutUint32(b[12:], fourth)
	sum := pseudo + uint64(ports) + uint64(s.Seq) + uint64(s.Ack) + uint64(fourth) + uint64(s.Urgent) + uint64(s.Sum)
	if s.TS {
		be.PutUint32(b[20:], timestampHead)
		be.PutUint32(b[24:], s.TSVal)
		be.PutUint32(b[28:], s.TSEcr)
		sum += timestampHead + uint64(s.TSVal) + uint64(s.TSEcr)
	}
	field := ^fold(sum)
	if s.Partial {
		field = fold(pseudo)
	}
	be.PutUint32(b[16:], uint32(field)<<16|uint32(s.Urgent))
}

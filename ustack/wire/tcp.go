package wire

// TCP lengths, RFC 9293 §3.1.
const (
	TCPLen        = 20
	TCPMaxOptions = 40
)

// Flags are the control bits of a TCP header.
type Flags uint8

// The control bits, RFC 9293 §3.1.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has tells whether all of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Any tells whether one of want is set.
func (f Flags) Any(want Flags) bool { return f&want != 0 }

// String writes the bits as tcpdump does: S, S., F., P., R, …
func (f Flags) String() string {
	out := make([]byte, 0, 8)
	for i, c := range []byte("FSRP.UEW") {
		if f&(1<<i) != 0 {
			out = append(out, c)
		}
	}
	return string(out)
}

// TCP is a view of a segment that has a whole header.
type TCP []byte

// ParseTCP checks the lengths; the checksum is ChecksumOK's.
func ParseTCP(b []byte) (TCP, error) {
	if len(b) < TCPLen {
		return nil, ErrShort
	}
	hdr := int(b[12]>>4) * 4
	if hdr < TCPLen {
		return nil, ErrHeader
	}
	if hdr > len(b) {
		return nil, ErrShort
	}
	return TCP(b), nil
}

// SrcPort is the source port.
func (t TCP) SrcPort() uint16 { return be.Uint16(t) }

// DstPort is the destination port.
func (t TCP) DstPort() uint16 { return be.Uint16(t[2:]) }

// Seq is the sequence number.
func (t TCP) Seq() uint32 { return be.Uint32(t[4:]) }

// Ack is the acknowledgment number.
func (t TCP) Ack() uint32 { return be.Uint32(t[8:]) }

// HeaderLen is the length of the header with its options.
func (t TCP) HeaderLen() int { return int(t[12]>>4) * 4 }

// Flags are the control bits.
func (t TCP) Flags() Flags { return Flags(t[13]) }

// Window is the window field, not scaled.
func (t TCP) Window() uint16 { return be.Uint16(t[14:]) }

// Checksum is the checksum field.
func (t TCP) Checksum() uint16 { return be.Uint16(t[16:]) }

// Urgent is the urgent pointer.
func (t TCP) Urgent() uint16 { return be.Uint16(t[18:]) }

// Options are the bytes of the options.
func (t TCP) Options() []byte { return t[TCPLen:t.HeaderLen()] }

// Payload is what follows the header.
func (t TCP) Payload() []byte { return t[t.HeaderLen():] }

// TCPFields is a header to encode.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            Flags
	Window, Urgent   uint16
	Options          *TCPOptions // nil: none
}

// Len is the length of the header with its options.
func (f *TCPFields) Len() int {
	if f.Options == nil {
		return TCPLen
	}
	return TCPLen + f.Options.Len()
}

// Put writes the header into b, which must hold Len bytes, with a checksum field of zero, and returns its length.
func (f *TCPFields) Put(b []byte) int {
	n := TCPLen
	if f.Options != nil {
		n += f.Options.Put(b[TCPLen:])
	}
	be.PutUint16(b, f.SrcPort)
	be.PutUint16(b[2:], f.DstPort)
	be.PutUint32(b[4:], f.Seq)
	be.PutUint32(b[8:], f.Ack)
	b[12], b[13] = byte(n/4)<<4, byte(f.Flags)
	be.PutUint16(b[14:], f.Window)
	be.PutUint16(b[16:], 0)
	be.PutUint16(b[18:], f.Urgent)
	return n
}

// TCPChecksumAt is where in the header the checksum field is.
const TCPChecksumAt = 16

// PutTCPPartial leaves in the checksum field of the header at b what a device needs that finishes the sum.
func PutTCPPartial(b []byte, pseudo uint16) { be.PutUint16(b[TCPChecksumAt:], pseudo) }

// PutTCPChecksum fills the checksum field of the header at b, whose length is n: pseudo is the pseudo-header's sum,
// payload that of the bytes after the header.
func PutTCPChecksum(b []byte, n int, pseudo, payload uint16) {
	be.PutUint16(b[16:], ^Add(Add(pseudo, payload), Sum(b[:n])))
}

package wire

// Ethernet lengths and types.
const (
	EthernetLen = 14

	TypeIPv4 = 0x0800
	TypeIPv6 = 0x86dd
)

// Ethernet is a view of a frame that has a whole header.
type Ethernet []byte

// ParseEthernet checks that b has a whole header.
func ParseEthernet(b []byte) (Ethernet, error) {
	if len(b) < EthernetLen {
		return nil, ErrShort
	}
	return Ethernet(b), nil
}

// Dst is the destination MAC address.
func (e Ethernet) Dst() [6]byte { return [6]byte(e[0:6]) }

// Src is the source MAC address.
func (e Ethernet) Src() [6]byte { return [6]byte(e[6:12]) }

// Type is the EtherType.
func (e Ethernet) Type() uint16 { return be.Uint16(e[12:]) }

// Payload is what follows the header.
func (e Ethernet) Payload() []byte { return e[EthernetLen:] }

// EthernetFields is a header to encode.
type EthernetFields struct {
	Dst, Src [6]byte
	Type     uint16
}

// Put writes the header into b, which must hold EthernetLen bytes.
func (f *EthernetFields) Put(b []byte) {
	copy(b[0:6], f.Dst[:])
	copy(b[6:12], f.Src[:])
	be.PutUint16(b[12:], f.Type)
}

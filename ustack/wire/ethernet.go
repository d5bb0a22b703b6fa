package wire

// Ethernet lengths and types.
const (
	EthernetLen = 14
	TagLen      = 4 // of a VLAN tag, between the addresses and the type

	TypeIPv4 = 0x0800
	TypeVLAN = 0x8100 // IEEE 802.1Q: a tag follows, and then the type
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

// Payload is what follows the header: of a tagged frame the tag's identifier, the type and then the packet.
func (e Ethernet) Payload() []byte { return e[EthernetLen:] }

// Untag takes a VLAN tag off: its identifier (0 for a frame that has only a priority, or no tag), the type of the packet and
// the packet. ErrShort: a tag was announced and is not whole.
func (e Ethernet) Untag() (vlan, typ uint16, payload []byte, err error) {
	typ, payload = e.Type(), e.Payload()
	if typ != TypeVLAN {
		return 0, typ, payload, nil
	}
	if len(payload) < TagLen {
		return 0, 0, nil, ErrShort
	}
	return be.Uint16(payload) & MaxVLAN, be.Uint16(payload[2:]), payload[TagLen:], nil
}

// MaxVLAN is the mask of the identifier in a tag; the bits above it are the priority and whether the frame may be dropped.
const MaxVLAN = 0xfff

// EthernetFields is a header to encode.
type EthernetFields struct {
	Dst, Src [6]byte
	VLAN     uint16 // identifier of a tag, 0 for none
	Type     uint16
}

// Len is what Put writes.
func (f *EthernetFields) Len() int {
	if f.VLAN != 0 {
		return EthernetLen + TagLen
	}
	return EthernetLen
}

// Put writes the header into b, which must hold Len bytes.
func (f *EthernetFields) Put(b []byte) {
	copy(b[0:6], f.Dst[:])
	copy(b[6:12], f.Src[:])
	if f.VLAN != 0 {
		be.PutUint16(b[12:], TypeVLAN)
		be.PutUint16(b[14:], f.VLAN&MaxVLAN)
		b = b[TagLen:]
	}
	be.PutUint16(b[12:], f.Type)
}

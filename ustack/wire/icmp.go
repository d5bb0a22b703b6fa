package wire

// ICMP types and codes that say something about a connection (RFC 792, RFC 1191, RFC 4443).
const (
	ICMPUnreach     = 3 // v4: destination unreachable
	ICMPTimeExceed  = 11
	ICMPParamProb   = 12
	ICMPFragNeeded  = 4 // code of ICMPUnreach
	ICMPv6Unreach   = 1
	ICMPv6TooBig    = 2
	ICMPv6TimeExc   = 3
	ICMPv6ParamProb = 4

	ICMPLen = 8
)

// ICMP is a view of a message of either version: type, code, checksum, four bytes that depend on the type, and for
// an error the packet it is about.
type ICMP []byte

// ParseICMP checks that the fixed part is there; the checksum is ChecksumOK's (pseudo-header 0 for version 4).
func ParseICMP(b []byte) (ICMP, error) {
	if len(b) < ICMPLen {
		return nil, ErrShort
	}
	return ICMP(b), nil
}

// Type is the type.
func (m ICMP) Type() uint8 { return m[0] }

// Code is the code.
func (m ICMP) Code() uint8 { return m[1] }

// Checksum is the checksum field.
func (m ICMP) Checksum() uint16 { return be.Uint16(m[2:]) }

// MTU4 is the next-hop MTU of a "fragmentation needed", 0 from a router older than RFC 1191.
func (m ICMP) MTU4() int { return int(be.Uint16(m[6:])) }

// MTU6 is the MTU of a "packet too big".
func (m ICMP) MTU6() uint32 { return be.Uint32(m[4:]) }

// Quoted is the packet the message is about: at least its IP header and 8 bytes if the sender kept to RFC 792.
func (m ICMP) Quoted() []byte { return m[ICMPLen:] }

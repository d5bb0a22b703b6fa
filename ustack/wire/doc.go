// Package wire reads and writes packet headers.
//
// It has two levels. A view (Ethernet, IPv4, IPv6, TCP, ICMP) is a byte slice whose length was checked once, by its
// Parse function; its methods then read named fields without checks. A Fields struct is what to encode; Put writes
// it into the caller's buffer. Nothing here allocates, keeps state or decides anything.
package wire

import (
	"encoding/binary"
	"errors"
)

// Why a header was refused. Callers count by these; they are compared, never built.
var (
	ErrShort    = errors.New("wire: header does not fit into the packet")
	ErrVersion  = errors.New("wire: not the IP version the frame says")
	ErrHeader   = errors.New("wire: header length field is impossible")
	ErrChecksum = errors.New("wire: wrong checksum")
)

// IP protocol numbers.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

var be = binary.BigEndian

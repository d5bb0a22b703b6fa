package wire

import (
	"encoding/binary"
	"math/bits"
)

// The Internet checksum, RFC 1071. A sum here is the 16-bit ones' complement sum in network byte order, not yet
// complemented; Add joins sums of pieces that start at even offsets.
//
// "the sum of 16-bit integers can be computed in either byte order" RFC 1071 §2(B): words are added as the machine
// loads them, eight bytes at a time, and swapped once at the end.

// Sum is the ones' complement sum of b, a last odd byte padded with zero.
func Sum(b []byte) uint16 {
	le := binary.LittleEndian
	var a, c uint64
	if n := len(b) &^ 63; n >= 128 { // fewer bytes cost less than a call
		a, b = sumBlocks(b[:n]), b[n:]
	}
	for len(b) >= 32 {
		a, c = bits.Add64(a, le.Uint64(b), c)
		a, c = bits.Add64(a, le.Uint64(b[8:]), c)
		a, c = bits.Add64(a, le.Uint64(b[16:]), c)
		a, c = bits.Add64(a, le.Uint64(b[24:]), c)
		b = b[32:]
	}
	for len(b) >= 8 {
		a, c = bits.Add64(a, le.Uint64(b), c)
		b = b[8:]
	}
	var last uint64
	for i, v := range b {
		last |= uint64(v) << (8 * i)
	}
	a, c = bits.Add64(a, last, c)
	a, c = bits.Add64(a, 0, c)
	return bits.ReverseBytes16(fold(a + c))
}

// CopySum copies src into dst (which must be as long) and sums it on the way.
func CopySum(dst, src []byte) uint16 {
	n := copy(dst, src)
	return Sum(dst[:n])
}

// Add joins two sums.
func Add(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s + s>>16)
}

// AddUint32 adds a 32-bit field to a sum.
func AddUint32(a uint16, v uint32) uint16 { return Add(Add(a, uint16(v>>16)), uint16(v)) }

func fold(a uint64) uint16 {
	a = a>>32 + a&0xffffffff
	a = a>>32 + a&0xffffffff
	a = a>>16 + a&0xffff
	a = a>>16 + a&0xffff
	return uint16(a)
}

// sumIPv4 is Sum of a header without options.
func sumIPv4(b []byte) uint16 {
	le := binary.LittleEndian
	a, c := bits.Add64(le.Uint64(b), le.Uint64(b[8:]), 0)
	a, c = bits.Add64(a, uint64(le.Uint32(b[16:IPv4Len])), c)
	a, c = bits.Add64(a, 0, c)
	return bits.ReverseBytes16(fold(a + c))
}

// PseudoSum is the sum of the pseudo-header that TCP, UDP and ICMPv6 put in front (RFC 9293 §3.1, RFC 8200 §8.1):
// addrs are source and destination as they follow each other in the IP header, n the upper-layer length.
func PseudoSum(addrs []byte, proto uint8, n int) uint16 {
	if len(addrs) == 8 { // IPv4
		return fold(uint64(be.Uint32(addrs)) + uint64(be.Uint32(addrs[4:])) + uint64(n) + uint64(proto))
	}
	return Add(AddUint32(Sum(addrs), uint32(n)), uint16(proto))
}

// ChecksumOK tells whether an upper-layer packet is sound. b is the packet, pseudo its pseudo-header's sum, field the
// content of its checksum field.
//
// With partial allowed, a field that holds just the folded pseudo-header sum is sound too: that is Linux's
// CHECKSUM_PARTIAL, which packets of the same host carry over veth and virtio because nobody filled the sum in yet.
func ChecksumOK(b []byte, pseudo, field uint16, partial bool) bool {
	if partial && field == pseudo {
		return true
	}
	return Add(pseudo, Sum(b)) == 0xffff
}

package ustack

import (
	"math/bits"

	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/wire"
)

// sumsFinished is how many segments with checksums, and none without, make a peer one that finishes them, on a link by which packets may come without
// (efvi.Info.PartialChecksum).
const sumsFinished = 8

// soundTCP says whether a segment's checksum is right, or left to a device: the folded pseudo-header sum, Linux's CHECKSUM_PARTIAL.
func (s *Stack) soundTCP(t wire.TCP, pkt *ip.Packet, partial bool) bool {
	return partial && t.Checksum() == pkt.Pseudo || s.sumTCP(t, pkt) == 0xffff
}

// sumTCP is the sum of a segment that may go on in further frames, its pseudo-header's included: 0xffff if it is right.
func (s *Stack) sumTCP(t wire.TCP, pkt *ip.Packet) uint16 {
	sum, at, left := wire.Add(pkt.Pseudo, wire.Sum(t)), len(t), pkt.More
	for _, b := range s.rx.rest {
		if left == 0 {
			break
		}
		p := b.Bytes()
		p = p[:min(len(p), left)]
		part := wire.Sum(p)
		if at&1 != 0 { // it begins in the middle of a 16-bit word: RFC 1071 §2(B), swapped bytes
			part = bits.ReverseBytes16(part)
		}
		sum, at, left = wire.Add(sum, part), at+len(p), left-len(p)
	}
	return sum
}

// believes says whether a sound segment is a connection's. One finished sum in 65,536 is by chance that of the pseudo-header, so that a bit which was
// flipped elsewhere would not be noticed: of a peer that finished all its sums it is looked at after all. It may leave them to a device from now on
// (another route, a move to the kernel), so only what is wrong by one bit is lost.
func (s *Stack) believes(e *endpoint) bool {
	t, err := wire.ParseTCP(s.rx.pkt.Payload)
	if err != nil || t.Checksum() != s.rx.pkt.Pseudo {
		return err == nil
	}
	sum := s.sumTCP(t, &s.rx.pkt)
	if sum == 0xffff {
		return true
	}
	if e.conn.SegsIn() >= sumsFinished && (bits.OnesCount16(sum) == 1 || bits.OnesCount16(^sum) == 1) {
		return false
	}
	e.flags |= sumsLeft
	return true
}

package ustack

import (
	"math/bits"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/wire"
)

// A segment that is longer than a frame lies in several, which leave as one packet:
//
//	buf                               rest         its Next
//	| ... eth ip tcp | payload ....|  | payload |  | payload |
//	                   off      off+n  \_____ more bytes ____/

// spread finds out what of the payload lies in further frames, each of that size.
func (o *packetOut) spread(size int) {
	if over := o.off + o.n - size; over > 0 && o.buf != nil {
		o.n, o.more, o.rest = o.n-over, over, o.buf.Next
	}
}

// restInFlight says whether the device still has one of the further frames.
func (o *packetOut) restInFlight() bool {
	for b, left := o.rest, o.more; left > 0; b = b.Next {
		if b.InFlight {
			return true
		}
		left -= b.Len()
	}
	return false
}

// takeRest takes a reference to each of the further frames for the device, and sums them up.
func (o *packetOut) takeRest() {
	at := o.n
	for b, left := o.rest, o.more; left > 0; b = b.Next {
		n := min(left, b.Len())
		b.Ref()
		if !o.leave {
			sum := payloadSum(b, int(b.Start), n)
			if at&1 != 0 { // it begins in the middle of a 16-bit word: RFC 1071 §2(B), swapped bytes
				sum = bits.ReverseBytes16(sum)
			}
			o.sum = wire.Add(o.sum, sum)
		}
		at, left = at+n, left-n
	}
}

// drop gives the references back of a packet that was not sent.
func (o *packetOut) drop() {
	b, left := o.rest, o.more
	o.buf.InFlight = false
	o.buf.Release()
	for left > 0 {
		next := b.Next
		left -= b.Len()
		b.Release()
		b = next
	}
}

// gather is Send and SendSum for a packet of several frames. The first one, which ends at end, is noted by transmit.
func (s *Stack) gather(o *packetOut, at, end, sumAt int) bool {
	if o.port.gatherer == nil { // the way was another when the segment was made: it is cut when the connection learns of that
		return false
	}
	parts, n := &s.txParts, 1
	parts[0] = efvi.Part{Frame: o.buf.Index, Off: uint32(at), N: uint32(end - at)}
	for b, left := o.rest, o.more; left > 0; b, n = b.Next, n+1 {
		size := min(left, b.Len())
		parts[n] = efvi.Part{Frame: b.Index, Off: uint32(b.Start), N: uint32(size)}
		left -= size
	}
	field := uint16(0)
	if sumAt > 0 {
		field = wire.TCPChecksumAt
	}
	if !o.port.gatherer.Gather(parts[:n], uint16(sumAt), field) {
		return false
	}
	for _, p := range parts[1:n] {
		s.pool.At(p.Frame).InFlight = true
		s.rx.owner[p.Frame] = uint16(o.port.slot + 1)
	}
	return true
}

package ustack

import (
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// A packet that is longer than a frame lies in several: of a large MTU, or one that the kernel has joined from some or not cut yet (GRO, TSO). All headers are in the first one; the others hold nothing but payload, and go to
// the receive queue as they are:
//
//	EventPart                          EventPart        EventRX
//	| Ethernet | IP | TCP | payload  | payload        | payload |
//	                       Payload     Rest[0]          Rest[1]

// parts are the frames of a packet whose end has not come yet.
type parts struct {
	b [efvi.MaxPartsIn]*pbuf.Buf
	n int // that have come; those beyond the array are lost, and with them the packet
}

// part takes the next frame of a packet, and the packet with the last one.
func (s *Stack) part(p *port, b *pbuf.Buf, last bool) {
	q := &p.parts
	switch {
	case b.Len() == 0 && q.n > 0: // nothing of the packet: no octets, no block to report
		b.Release()
	case q.n < len(q.b):
		q.b[q.n] = b
		q.n++
	default:
		b.Release()
		q.n++
	}
	if !last {
		return
	}
	if q.n <= len(q.b) {
		s.cnt.RxPackets++
		s.rx.rest = q.b[1:q.n]
		s.packet(p, q.b[0])
		s.rx.rest = nil
	}
	q.drop()
}

// drop lets go of the frames.
func (q *parts) drop() {
	for i := range min(q.n, len(q.b)) {
		q.b[i].Release()
		q.b[i] = nil
	}
	q.n = 0
}

// restLen is how many bytes lie in frames.
func restLen(rest []*pbuf.Buf) (n int) {
	for _, b := range rest {
		n += b.Len()
	}
	return n
}

// rest gives a segment the first n bytes that lie in the packet's further frames: behind them there may be padding.
func (s *Stack) rest(seg *tcp.Segment, n int) {
	seg.More = n
	for i, b := range s.rx.rest {
		b.End = min(b.End, b.Start+uint16(n))
		if n -= b.Len(); n == 0 {
			seg.Rest = s.rx.rest[:i+1]
			return
		}
	}
}

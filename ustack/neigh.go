package ustack

import (
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// waiting is a packet whose neighbour's MAC address the kernel is still asking for. Its frame holds everything but the
// Ethernet header.
type waiting struct {
	buf     *pbuf.Buf
	at, end int
	flow    tcp.Flow
	until   int64
}

// neighQueue keeps packets without payload (SYN, SYN-ACK, RST); data waits in its connection's own queue.
type neighQueue struct {
	ring [64]waiting
	n    int
}

// neighWait is how long a packet waits, in ns. Linux asks three times, a second apart.
const neighWait = 3_000_000_000

func (s *Stack) resolve(h *Hop) {
	s.cnt.NeighWaits++
	s.routes.Resolve(h.Ifindex, h.NextHop)
}

// add keeps a packet; the oldest makes room.
//
// "The link layer SHOULD save (rather than discard) at least one (the latest) packet of each set of packets destined to
// the same unresolved IP address" RFC 1122 §2.3.2.2
func (q *neighQueue) add(s *Stack, w waiting) {
	if q.n == len(q.ring) {
		s.cnt.NeighDrops++
		q.ring[0].buf.Release()
		copy(q.ring[:], q.ring[1:])
		q.n--
	}
	w.until = s.now + neighWait
	q.ring[q.n] = w
	q.n++
}

// retry sends what can be sent and drops what waited too long.
func (q *neighQueue) retry(s *Stack, now int64) {
	keep := 0
	for i := range q.ring[:q.n] {
		w := &q.ring[i]
		hop, err := s.routes.Route(w.flow.Remote.Addr(), w.flow.Local.Addr())
		p := s.portFor(hop.Ifindex, nil)
		switch {
		case err != nil || p == nil || w.until <= now:
			s.cnt.NeighDrops++
			w.buf.Release()
		case hop.Resolved && s.transmit(p, &hop, w.buf, w.at, w.end):
		default:
			q.ring[keep] = *w
			keep++
		}
	}
	clear(q.ring[keep:q.n])
	q.n = keep
}

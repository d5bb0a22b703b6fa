package ustack

import (
	"net/netip"

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
	ring    [64]waiting
	n       int
	stalled bool // a neighbour is known, and there was no room in the device's ring
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
	q.stalled = false
	for i := range q.ring[:q.n] {
		w := &q.ring[i]
		hop, err := s.way(w.flow.Remote.Addr(), w.flow.Local.Addr())
		p := s.portFor(hop.device(), nil)
		switch {
		case err != nil || p == nil || w.until <= now:
			s.cnt.NeighDrops++
			w.buf.Release()
			if err == nil && p != nil {
				s.failed(now, &w.flow)
			}
		case hop.Resolved && s.transmit(&packetOut{port: p, hop: &hop, buf: w.buf, off: w.end}, w.at, 0):
		default:
			q.stalled = q.stalled || hop.Resolved
			q.ring[keep] = *w
			keep++
		}
	}
	clear(q.ring[keep:q.n])
	q.n = keep
}

// ahead sends what waits for a neighbour whose address is known now, before what is about to be sent to it: a connection's FIN must not
// come behind the ACK that it counts in.
func (q *neighQueue) ahead(s *Stack, h *Hop) {
	keep := 0
	for i := range q.ring[:q.n] {
		w := &q.ring[i]
		hop, err := s.way(w.flow.Remote.Addr(), w.flow.Local.Addr())
		p := s.portFor(hop.device(), nil)
		same := err == nil && p != nil && hop.Resolved && hop.Ifindex == h.Ifindex && hop.NextHop == h.NextHop
		if same && s.transmit(&packetOut{port: p, hop: &hop, buf: w.buf, off: w.end}, w.at, 0) {
			continue
		}
		q.stalled = q.stalled || same
		q.ring[keep] = *w
		keep++
	}
	clear(q.ring[keep:q.n])
	q.n = keep
}

// failed tells a connection that the neighbour does not answer.
func (s *Stack) failed(now int64, f *tcp.Flow) {
	k := keyOf(*f)
	if e := s.table.find(&k); e != nil {
		e.Conn().NoNeighbour(now)
		s.activate(e)
	}
}

// asks are the neighbours that segments with data wait for, and since when. One that does not answer within neighWait
// is taken for dead: what is sent to it then is as good as lost, so that the connection's timers run.
type asks struct {
	since map[ask]int64
	due   int64 // when the first of them is taken for dead, 0 never
}

type ask struct {
	ifindex int
	addr    netip.Addr
}

// askLife is how long a dead neighbour is not waited for again.
const askLife = 10 * neighWait

// vain says whether the neighbour was asked in vain.
func (a *asks) vain(h *Hop, now int64) bool {
	k := ask{h.Ifindex, h.NextHop}
	since, ok := a.since[k]
	if !ok || now-since > askLife {
		if a.since == nil || len(a.since) >= hopsKept {
			a.since = map[ask]int64{}
		}
		a.since[k] = now
		a.due = earlier(a.due, now+neighWait)
		return false
	}
	return now-since >= neighWait
}

// answered forgets a neighbour that is known now.
func (a *asks) answered(h *Hop) {
	if len(a.since) > 0 && h.Resolved {
		delete(a.since, ask{h.Ifindex, h.NextHop})
	}
}

// overdue says, once, that a neighbour came to be taken for dead.
func (a *asks) overdue(now int64) bool {
	if a.due == 0 || now < a.due {
		return false
	}
	a.due = 0
	for _, since := range a.since {
		if at := since + neighWait; at > now {
			a.due = earlier(a.due, at)
		}
	}
	return true
}

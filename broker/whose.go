package broker

import (
	"errors"
	"time"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// A handshake that a process began and did not live to finish is in no table. Its client's segments come to one process after the other, none
// of which may answer with a reset what another one may have half open. So all are asked, and then the kernel:
//
//	stray ──► whose? ──► each process of that port: no ──► the kernel: no ──► nobody's: reset, as those of the dead
//
// A connection on its way from one to another must not slip through. An engine answers in its turn, so not in the middle of a move of its own, and
// all moves are the broker's: one of the flow makes the inquiry void, as does whoever does not answer. The next segment begins another.

// inquiry is one under way.
type inquiry struct {
	left int  // answers to come
	void bool // somebody has it, or may have it, or it was moved meanwhile
}

const (
	// whoseTime is how long an engine may take to answer.
	whoseTime = 2 * time.Second
	// maxInquiries is how many are begun in a second: of a flood of forged segments most stay without an answer.
	maxInquiries = 100
)

// inquire asks everybody whose a flow is, unless that is being asked. It changes nothing if somebody cannot tell.
func (b *Broker) inquire(s *space, t steer.Tuple) {
	if s.awaited() {
		s.putOff(t)
		return
	}
	if s.inquiries[t] != nil || s.moves[t] > 0 || s.taken[t] != nil {
		return
	}
	var all []*client
	for o := range b.clients {
		if o.gone || o.space != s || !o.ownsPort(t.Local) {
			continue
		}
		if !o.tells {
			return
		}
		all = append(all, o)
	}
	if len(all) == 0 || !s.inquired.allows(time.Now(), maxInquiries) {
		return
	}
	q := &inquiry{left: len(all)}
	if s.inquiries == nil {
		s.inquiries = map[steer.Tuple]*inquiry{}
	}
	s.inquiries[t] = q
	s.refs++
	for _, o := range all {
		o.ask(proto.OpWhose, proto.Stray{Local: t.Local, Remote: t.Remote}, nil, whoseTime, func(p *proto.Packet, err error) {
			b.told(s, t, q, p, err)
		})
	}
}

// putOff has a flow asked about when all programs have had the time to come back: its peer's next segment may be seconds later, and get lost.
func (s *space) putOff(t steer.Tuple) {
	if len(s.unasked) >= maxInquiries {
		return
	}
	if s.unasked == nil {
		s.unasked = map[steer.Tuple]bool{}
	}
	s.unasked[t] = true
}

// inquireNow asks about what was put off.
func (b *Broker) inquireNow() {
	for _, s := range b.spaces {
		for t := range s.unasked {
			b.inquire(s, t)
		}
		s.unasked = nil
	}
}

// rate counts what was done within a second.
type rate struct {
	since time.Time
	n     int
}

// allows counts once more, and says whether that is at most so often.
func (r *rate) allows(now time.Time, most int) bool {
	if now.Sub(r.since) > time.Second {
		*r = rate{since: now}
	}
	r.n++
	return r.n <= most
}

// told takes one answer. Who is gone has nothing any more.
func (b *Broker) told(s *space, t steer.Tuple, q *inquiry, p *proto.Packet, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var o proto.Owned
	if err == nil {
		err = p.Into(&o)
	}
	q.void = q.void || o.Owned || err != nil && !errors.Is(err, errGone)
	if q.left--; q.left > 0 {
		return
	}
	if q.void || b.closed {
		s.endInquiry(t)
		return
	}
	var devices []int
	for _, d := range s.devices {
		devices = append(devices, d.Ifindex)
	}
	b.goDo(func() { b.conclude(s, t, q, devices) })
}

// conclude asks the kernel, and has the flow's peer learn that there is no such connection, as peers of the dead do: by what a SYN draws, which every
// process may answer with a reset now, or by its next segment.
func (b *Broker) conclude(s *space, t steer.Tuple, q *inquiry, devices []int) {
	has, err := b.back.Has(s.fd(), t, devices)
	b.mu.Lock()
	defer b.mu.Unlock()
	defer s.endInquiry(t)
	if err != nil {
		b.log.Infof("broker: does the kernel have %v -> %v: %v", t.Local, t.Remote, err)
	}
	if err != nil || has || q.void || b.closed {
		return
	}
	b.log.Debugf("broker: %v -> %v is nobody's", t.Local, t.Remote)
	b.count.Nobodys++
	b.reset(s, []steer.Tuple{t})
}

func (s *space) endInquiry(t steer.Tuple) {
	delete(s.inquiries, t)
	s.put()
}

// beginMove notes that a flow changes hands; endMove that it has.
func (s *space) beginMove(t steer.Tuple) {
	if s.moves == nil {
		s.moves = map[steer.Tuple]int{}
	}
	s.moves[t]++
	s.stir(t)
}

func (s *space) endMove(t steer.Tuple) {
	if s.moves[t]--; s.moves[t] == 0 {
		delete(s.moves, t)
	}
}

// stir makes void what is being found out of a flow, or was.
func (s *space) stir(t steer.Tuple) {
	delete(s.dead, t)
	if q := s.inquiries[t]; q != nil {
		q.void = true
	}
}

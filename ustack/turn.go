package ustack

import "github.com/sluice-net/sluice/ustack/usock"

// Poll takes what the devices have (at most budget events), runs due timers, sends what became due and kicks each
// device once. It returns the number of events.
func (s *Stack) Poll(now int64, budget int) int {
	s.now = now
	n := 0
	for _, p := range s.ports {
		if p != nil && n < budget {
			n += s.drain(p, budget-n)
		}
	}
	s.rx.port = nil
	s.runTimers(now)
	s.unanswered(now)
	s.retry(now)
	s.settle(now)
	s.feed(now)
	for _, p := range s.ports {
		if p != nil {
			s.fill(p)
		}
	}
	s.flush()
	return n
}

// pollAgain is how soon to look again for what no descriptor tells of: room in a transmit ring, a neighbour's address.
const pollAgain = 1_000_000

// NextDeadline is when Poll must be called at the latest, 0 for never.
func (s *Stack) NextDeadline() int64 {
	d := earlier(earlier(s.timers.next(), s.host.Waits.Deadline()), s.host.Answers.Deadline())
	if s.room && s.blocked.n() > 0 {
		return s.now // retry is not through with them
	}
	if s.blocked.n() > 0 || len(s.hungry) > 0 || s.wait.n > 0 || s.unsent() {
		d = earlier(d, s.now+pollAgain)
	}
	return d
}

func (s *Stack) unsent() bool {
	if s.burst.e != nil {
		return true
	}
	for _, p := range s.ports {
		if p != nil && p.queued {
			return true
		}
	}
	return false
}

func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// activate puts an endpoint on the list of those that settle looks at.
func (s *Stack) activate(e *endpoint) {
	if e.flags&inActive == 0 {
		e.flags |= inActive
		s.active = append(s.active, e)
	}
}

func (s *Stack) runTimers(now int64) {
	if d := s.host.Waits.Deadline(); d != 0 && d <= now {
		s.host.Waits.OnTimer(now)
	}
	// Bounded: an endpoint whose timer is due again at once waits for the next turn.
	for range len(s.timers.heap) {
		e := s.timers.due(now)
		if e == nil {
			return
		}
		if l := e.Listener(); l != nil {
			l.OnTimer(now, s)
		} else {
			e.Conn().OnTimer(now, s)
		}
		s.activate(e)
	}
}

// retry gives connections that found no room another try, once something has changed.
func (s *Stack) retry(now int64) {
	gen := s.routes.Generation()
	if s.wait.n > 0 && (gen != s.roomGen || s.room && s.wait.stalled || s.wait.ring[0].until <= now) {
		s.wait.retry(s, now)
	}
	room, all := s.room, gen != s.roomGen || s.asks.overdue(now)
	s.room, s.roomGen = false, gen
	if s.blocked.n() > 0 && (room || all) {
		s.unblock(now, all)
	}
}

// Settle is a turn for what calls have put off (Socket.Skip, Socket.SendStaged), for one connection or many.
func (s *Stack) Settle(now int64) {
	if len(s.active) == 0 {
		return
	}
	s.now = now
	s.settle(now)
	s.flush()
}

// settle finishes everything that was touched: output, timers, tables, readiness.
func (s *Stack) settle(now int64) {
	for i := 0; i < len(s.active); i++ { // may grow on the way
		e := s.active[i]
		if l := e.Listener(); l != nil {
			e.flags &^= inActive
			if !e.Orphan() {
				e.arm()
			}
		} else {
			s.output(e, now)
		}
		if e.News() && s.sink != nil {
			s.sink.Ready(&e.Socket)
		}
	}
	clear(s.active)
	s.active = s.active[:0]
}

// output lets a connection send what is due and puts it where it belongs afterwards.
func (s *Stack) output(e *endpoint, now int64) {
	c := e.Conn()
	if e.flags&inTable != 0 {
		e.refresh(now)
	}
	c.Output(now, s)
	if e.flags&noNeighbour != 0 {
		c.NoNeighbour(now)
	}
	e.flags &^= inActive | dirty | noNeighbour
	if s.reg != nil {
		e.tell(now)
	}
	if c.Closed() {
		e.remove()
	} else {
		e.arm()
	}
	if e.flags&watched != 0 { // of its end, too: nobody may send for it any more
		s.settler.Settled(&e.Socket)
	}
	if c.Closed() {
		return
	}
	if s.pool.Available() == 0 && c.Poll()&usock.PollOut == 0 {
		e.Short()
	}
}

// feed tells sockets that found no frame that there are some again.
func (s *Stack) feed(now int64) {
	if len(s.hungry) == 0 || s.pool.Available() < s.pool.Len()/16 {
		return
	}
	for _, e := range s.hungry {
		e.flags &^= inHungry
		e.Fed()
	}
	clear(s.hungry)
	s.hungry = s.hungry[:0]
	s.settle(now)
}

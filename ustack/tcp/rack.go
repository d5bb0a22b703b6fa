package tcp

// rack is RACK, RFC 8985: a segment is lost when one sent sufficiently later was delivered.
type rack struct {
	xmitAt int64 // when the most recently sent of the delivered segments left
	rtt    int64 // its round-trip time
	end    Seq   // its end

	reordering uint32 // how many segments overtake another at most
	delivered  uint32 // rate.delivered at the last adaption: once per round trip
	seen       bool   // reordering was seen on this path
	steps      uint8  // reordering window in quarters of the least RTT (RACK.reo_wnd_mult)
	persist    uint8  // recoveries until it is reset (RACK.reo_wnd_persist)
	dsack      bool   // a DSACK since the last adaption
}

const rackPersist = 16 // "RACK.reo_wnd_persist = 16" RFC 8985 §6.2 step 4

func (k *rack) init(p *Params) { k.steps, k.reordering = 1, uint32(p.Reordering) }

// rackAdvance is step 2: "Update the state for the most recently sent segment that has been delivered".
func (s *sender) rackAdvance(a *ackWork, r *txRec) {
	k := &s.rack
	rtt := a.now - r.txAt
	if r.has(recEver) && rtt < s.rtt.min.get() {
		// "ignore a segment as invalid if any of its sequence range has been retransmitted before and if [...] The segment was last
		// retransmitted less than RACK.min_rtt ago" §6.2 step 2
		return
	}
	s.rackNews = true
	k.rtt = rtt
	if sentAfter(r.txAt, k.xmitAt, r.end(), k.end) {
		k.xmitAt, k.end = r.txAt, r.end()
		s.q.mark = nil
		if r.has(recTimed) {
			s.q.mark = r.tprev
		}
		for s.q.mark != nil && !s.rackOlder(s.q.mark) { // sent at the same time
			s.q.mark = s.q.mark.tprev
			s.mem.Stats.Looked++
		}
	}
}

// sentAfter is RACK_sent_after: by time, and by sequence at the same time.
func sentAfter(t1, t2 int64, e1, e2 Seq) bool { return t1 > t2 || t1 == t2 && e1.GT(e2) }

// window is RACK_update_reo_wnd's result: "min(RACK.reo_wnd_mult * RACK.min_RTT / 4, SRTT)"; 0 while no
// reordering was seen and the old rule of three duplicates would act.
func (s *sender) rackWindow() int64 {
	if !s.rack.seen {
		if s.state >= caRecovery {
			return 0
		}
		if s.sb.sacked >= s.rack.reordering && s.p.Recovery&4 == 0 {
			return 0
		}
	}
	return min(s.rtt.min.get()/4*int64(s.rack.steps), s.rtt.srtt)
}

// left is how long the segment may still be on its way, at most 0 when it is lost.
func (s *sender) rackLeft(now int64, r *txRec, wnd int64) int64 {
	return s.rack.rtt + wnd - (now - r.txAt)
}

// stillFlying says whether a segment is too young to be lost.
func (k *rack) stillFlying(now int64, r *txRec) bool { return k.rtt-(now-r.txAt) > 0 }

// rackDetect is step 5, RACK_detect_loss: it marks lost segments and returns the time until the last one that may be
// would be, 0 none. Only segments older than the newest delivered one are looked at; they are in the order in which they
// become lost.
func (s *sender) rackDetect(now int64) int64 {
	wnd := s.rackWindow()
	for r := s.q.old; r != nil && s.rackOlder(r); r = s.q.old {
		s.mem.Stats.Looked++
		if s.rackLeft(now, r, wnd) > 0 {
			return s.rackLeft(now, s.rackYoungest(r), wnd)
		}
		s.lose(now, r)
	}
	return 0
}

// rackOlder says whether r left before the newest delivered segment.
func (s *sender) rackOlder(r *txRec) bool {
	return sentAfter(s.rack.xmitAt, r.txAt, s.rack.end, r.end())
}

// rackYoungest is the youngest segment that left before the newest delivered one; r is one that did.
func (s *sender) rackYoungest(r *txRec) *txRec {
	if s.q.mark == nil {
		s.q.mark = r
	}
	for n := s.q.mark.tnext; n != nil && s.rackOlder(n); n = n.tnext {
		s.q.mark = n
		s.mem.Stats.Looked++
	}
	return s.q.mark
}

// rackMarkLost looks for losses after an ACK; true when it set the reordering timer.
func (s *sender) rackMarkLost(now int64) bool {
	if !s.rackNews {
		return false
	}
	s.rackNews = false
	wait := s.rackDetect(now)
	if wait > 0 {
		s.tmr.set(timerReorder, now+min(wait+timerSlack, s.rto()))
	}
	return wait > 0
}

// timerSlack keeps a timer from firing before the time has fully passed (Linux' TCP_TIMEOUT_MIN is 2 ms here).
const timerSlack = 2e6

// onReorderTimer is the end of RACK's reordering timer, which looks for losses again, §6.2 step 5.
func (s *sender) onReorderTimer(now int64) {
	before, marks := s.inFlight(), s.sb.lostMarks
	s.tmr.stop()
	wait := s.rackDetect(now)
	if s.inFlight() != before {
		if s.state != caRecovery && !s.probeLost(now) {
			s.enterRecovery(now, false)
			if !s.ownCwnd {
				s.reduceStep(1, s.sb.lostMarks == marks)
			}
		}
	}
	if wait > 0 {
		s.tmr.set(timerReorder, now+min(wait+timerSlack, s.rto()))
		return
	}
	s.tmr.kind = timerReorder // counts from the first segment
	s.rearmRTO(now)
}

// rackAdapt is the adaption of the reordering window to DSACKs, once per round trip: "RACK.reo_wnd_mult += 1",
// and back to 1 after 16 recoveries without, §6.2 step 4.
func (s *sender) rackAdapt(a *ackWork) {
	k := &s.rack
	if s.p.Recovery&2 != 0 || a.priorDelivered == s.rate.delivered {
		return
	}
	if a.ackedDelivered != 0 && int32(a.ackedDelivered-k.delivered) < 0 {
		k.dsack = false // the DSACK belongs to a flight before the last adaption
	}
	if k.dsack {
		k.steps += min(1, 255-k.steps)
		k.dsack = false
		k.delivered = s.rate.delivered
		k.persist = rackPersist
	} else if k.persist == 0 {
		k.steps = 1
	}
}

// dsackSeen takes the report of a duplicate. Those that answer a tail loss probe, and those on a path that never
// reordered, say nothing about the reordering window.
func (s *sender) dsackSeen(a *ackWork, r sackRange) {
	a.dsack = true
	s.sb.dsacks++
	if r.lo.LT(a.in.ack) {
		s.mem.Stats.DSACKRecv++
	} else {
		s.mem.Stats.DSACKOfoRecv++
	}
	s.mem.Stats.DSACKRecvSegs += uint64(max(1, (r.hi.Sub(r.lo)+s.mss-1)/s.mss))
	if s.tlp.active && s.tlp.end == r.hi {
		a.dsackTLP = true
	} else if s.rack.seen {
		s.rack.dsack = true
	}
	if s.undo.on && s.undo.pending > 0 && r.hi.LEQ(a.priorUna) && r.hi.GT(s.undo.una) {
		n := max(1, (r.hi.Sub(r.lo)+s.mss-1)/s.mss)
		s.undo.pending = max(0, s.undo.pending-int32(n))
	}
}

// sawReordering notes that low was delivered after something higher.
func (s *sender) sawReordering(low Seq) {
	high := s.sackHigh()
	if low.GEQ(high) {
		return
	}
	if n := high.Sub(low); n > int(s.rack.reordering)*s.mss {
		s.rack.reordering = uint32(min((n+s.mss-1)/s.mss, s.p.MaxReordering))
	}
	s.rack.seen = true
	s.sb.reorders++
	s.mem.Stats.TSReorder++
}

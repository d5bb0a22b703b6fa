package tcp

// idle says that next has nothing to look at.
func (s *sender) idle() bool { return s.q.head == nil && !s.probe.due }

// next is the next segment to send, false when nothing may leave now. The order is: a probe that a timer asked for,
// what is lost ("If there exists a smallest unSACKed sequence number 'S2' [...] greater than HighRxt" RFC 6675 §4 rule 1,
// though lost is what RACK says), and then data that was never sent (rule 2).
func (s *sender) next(now int64) (txSeg, bool) {
	if s.frozen {
		return txSeg{}, false
	}
	if s.probe.due {
		return s.nextProbe(now)
	}
	if s.q.head == nil {
		return txSeg{}, false
	}
	if s.tlp.due {
		return s.nextTailProbe(now)
	}
	if s.frto.newFirst { // RFC 5682 §2.1 step 2b: new data answers whether the timeout was spurious
		if t, ok := s.nextNew(now); ok || s.nxt.GT(s.highSeq) {
			return t, ok
		}
		s.frto = frto{}
	}
	if s.sb.waits.head != nil && !s.synackOut {
		if t, ok := s.nextLost(now); ok {
			return t, true
		}
	}
	return s.nextNew(now)
}

// nextLost is the first lost segment that was not sent again.
func (s *sender) nextLost(now int64) (txSeg, bool) {
	if s.inFlight() >= s.cwnd || !s.pace.ready(now) {
		return txSeg{}, false
	}
	return s.again(now, s.sb.waits.head)
}

// again prepares a record for its retransmission.
func (s *sender) again(now int64, r *txRec) (txSeg, bool) {
	if r.inFlight() {
		s.tmr.retry = now + ringRetry // its last transmission still waits in a ring
		return txSeg{}, false
	}
	limit := s.mss
	// A peer that took window back is not sent more than it offers now; "a sending TCP peer MUST be robust against
	// window shrinking" RFC 9293 §3.8.6. The first segment is the exception: then it serves as a probe.
	if room := s.wndEnd().Sub(r.seq); room < int(r.n) && !r.has(recSYN) {
		if room <= 0 && r != s.q.head {
			return txSeg{}, false
		} else if room > 0 {
			limit = min(limit, room)
		}
	}
	if int(r.n) > limit {
		s.split(r, limit)
	}
	t := s.segment(r)
	t.rexmit, t.psh = true, s.coupleAgain(now, r) || t.psh
	return t, true
}

// nextNew is the first segment that was never sent, if cwnd, the peer's window, Nagle and pacing let it go.
func (s *sender) nextNew(now int64) (txSeg, bool) {
	r := s.q.unsent
	switch {
	case r == nil:
		return txSeg{}, false
	case r.has(recSYN):
		return s.synSegment(r), true
	case s.synOut:
		return txSeg{}, false
	case s.inFlight() >= s.cwnd:
		s.cwv.validate(s, now, true)
		return txSeg{}, false
	case !s.pace.ready(now):
		return txSeg{}, false
	}
	if t, ok, wait := s.mtuProbe(now); ok || wait {
		return t, ok
	}
	if !s.windowFits(r, s.mss) {
		s.chrono.start(now, chronoRwnd)
		s.armProbe(now)
		return txSeg{}, false
	}
	if s.chrono.kind == chronoRwnd {
		s.stopChrono(now, chronoRwnd)
	}
	if !s.nagleAllows(r) {
		s.armProbe(now)
		return txSeg{}, false
	}
	if int(r.n) > s.mss {
		s.split(r, s.mss)
	}
	return s.newSegment(r), true
}

// windowFits says whether the first mss bytes of r are within the peer's window. A part of a segment is not sent to
// fill a window (RFC 9293 §3.8.6.2.1: "if a maximum-sized segment can be sent"); when nothing is in flight a timer does.
func (s *sender) windowFits(r *txRec, mss int) bool {
	end := r.end()
	if int(r.n) > mss {
		end = r.seq.Add(mss)
	}
	return end.LEQ(s.wndEnd())
}

func (s *sender) newSegment(r *txRec) txSeg {
	t := s.segment(r)
	t.psh = s.couple(r) || t.psh // not kept: a retransmission has its own train
	t.ect, t.cwr = s.ecn.mark(r)
	return t
}

// synSegment is the SYN, with data on it in Fast Open.
func (s *sender) synSegment(r *txRec) txSeg {
	t := s.segment(r)
	if d := r.next; s.synData && d != nil {
		t.buf, t.off, t.n = d.buf, int(d.off), int(d.n)
	}
	return t
}

func (s *sender) segment(r *txRec) txSeg {
	return txSeg{seq: r.seq, buf: r.buf, off: int(r.off), n: int(r.n), rec: r,
		syn: r.has(recSYN), fin: r.has(recFIN), psh: r.has(recPSH)}
}

// sent tells that next's segment went out.
func (s *sender) sent(now int64, t *txSeg) {
	r := t.rec
	switch {
	case r == nil:
		if s.probe.due = false; s.probe.stuck {
			s.probe.stuck, s.probe.tries = false, 1
		}
		return
	case t.rexmit:
		s.sentAgain(now, r)
	default:
		s.sentNew(now, r, t)
		if t.syn && t.n > 0 {
			s.sentNew(now, r.next, t)
		}
		if t.mtu {
			s.probeSent(t)
		}
	}
	if s.inReduction() {
		s.prr.out++
	}
	if s.tlp.due {
		s.tailProbeSent(t)
	}
	s.pace.sent(s, now, t.n)
}

func (s *sender) sentNew(now int64, r *txRec, t *txSeg) {
	prior := s.sb.out
	if prior == 0 {
		s.idleEnds(now)
	}
	s.rate.stamp(s, now, r)
	r.txAt, r.flags = s.q.leaves(now, r), r.flags|recSent
	s.q.unsent = r.next
	s.q.stamp(r)
	s.q.link(r)
	s.nxt = r.end()
	s.sb.out++
	s.lastSent = now
	if int(r.n) < s.mss && r.n > 0 && !t.syn {
		s.sml = s.nxt // RFC 896 as amended by Minshall: remember the small one
	}
	if t.cwr {
		s.ecn.cwrQueued = false
	}
	if !r.has(recSYN) {
		s.mem.Stats.OrigDataSent++
	}
	s.probe = prober{} // data is out: the interval between probes begins anew (tcp_send_probe0)
	if prior == 0 || s.tmr.kind == timerTLP || s.tmr.kind == timerProbe {
		s.rearmRTO(now)
	}
	s.cwv.validate(s, now, s.inFlight() >= s.cwnd)
	if !t.syn && !s.tlp.due {
		s.armTailProbe(now, false)
	}
}

func (s *sender) sentAgain(now int64, r *txRec) {
	s.rate.stamp(s, now, r)
	r.txAt, s.lastSent = s.q.leaves(now, r), now
	r.flags |= recEver
	r.rexmits += min(1, 255-r.rexmits)
	if !r.has(recRexmit) {
		r.flags |= recRexmit
		s.sb.rexmit++
	}
	s.sb.waits.remove(r)
	s.q.stamp(r)
	s.undo.sentAgain(now)
	s.pmtu.probe = 0 // inconclusive
	s.sb.total++
	s.sb.bytesAgain += uint64(r.n)
	s.mem.Stats.RetransSegs++
	switch {
	case r.has(recSYN):
		s.mem.Stats.SynRetrans++
	case s.state == caRecovery && !s.tlp.due:
		s.mem.Stats.FastRetrans++
	case s.state == caLoss && (r != s.q.head || s.tmr.retries == 0): // not the one that the timer itself sends
		s.mem.Stats.SlowStartRetrans++
	}
	// "(5.1) Every time a packet containing data is sent (including a retransmission), if the timer is not running,
	// start it" RFC 6298; like Linux it is restarted when the first segment goes again.
	if r == s.q.head && s.tmr.kind != timerReorder || s.tmr.kind == timerNone {
		s.tmr.set(timerRTO, s.clampUserTime(now, now+s.rto()))
	}
}

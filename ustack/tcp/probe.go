package tcp

// prober sends zero-window probes: "the sending TCP peer must regularly transmit at least one octet of new data (if
// available), or retransmit to the receiving TCP peer even if the send window is zero, in order to 'probe' the window"
// RFC 9293 §3.8.6.1. Linux probes with an old sequence number and no data, which the peer answers with its window; what
// fits in the window is sent as data instead, and that also ends a corked or too small window after one timeout.
type prober struct {
	due   bool  // one should leave now
	back  uint8 // doublings of the interval
	tries uint8 // probes without any answer
	stuck bool  // no device took what was to leave
	since int64 // when the window was found closed first
}

// armProbe starts the persist timer if nothing else would wake the connection up.
func (s *sender) armProbe(now int64) {
	if s.sb.out > 0 || s.q.unsent == nil || s.tmr.kind != timerNone || s.synOut {
		return
	}
	s.tmr.set(timerProbe, s.clampProbe(now, now+max(s.rto(), s.rtoMin())))
}

// probeWhen is the interval: "The transmitting host SHOULD send the first zero-window probe when a zero window has existed for the
// retransmission timeout period [...] and SHOULD increase exponentially the interval between successive probes"
// RFC 9293 §3.8.6.1.
func (s *sender) probeWhen() int64 {
	v := max(s.rto(), s.rtoMin())
	for range s.probe.back {
		if v *= 2; v >= s.rtoMax() {
			return s.rtoMax()
		}
	}
	return v
}

func (s *sender) clampProbe(now, at int64) int64 {
	if s.userTime == 0 || s.probe.since == 0 {
		return at
	}
	return max(min(at, s.probe.since+s.userTime), now+1)
}

// probeAcked looks at the timer after an ACK while nothing is in flight.
func (s *sender) probeAcked(now int64) {
	r := s.q.unsent
	if r == nil || s.sb.out > 0 {
		return
	}
	if r.end().LEQ(s.wndEnd()) {
		s.probe = prober{}
		if s.tmr.kind == timerProbe {
			s.tmr.stop()
		}
		return
	}
	if s.tmr.kind == timerNone || s.tmr.kind == timerProbe {
		s.tmr.set(timerProbe, s.clampProbe(now, now+s.probeWhen()))
	}
}

// onProbeTimer sends a probe, or gives up if the peer never answers.
func (s *sender) onProbeTimer(now int64) error {
	s.tmr.stop()
	if s.sb.out > 0 || s.q.unsent == nil {
		s.probe = prober{}
		return nil
	}
	if s.probe.since == 0 {
		s.probe.since = now
	} else if s.userTime != 0 && now-s.probe.since >= s.userTime {
		s.mem.Stats.AbortOnTimeout++
		return ErrTimeout
	}
	if s.probeVain(now) {
		s.mem.Stats.AbortOnTimeout++
		return ErrTimeout
	}
	s.probe.due = true
	s.probe.tries += min(1, 255-s.probe.tries)
	at := now + stuckProbe
	if !s.probe.stuck {
		if s.probe.back < 63 && int(s.probe.back) < s.p.Retries2 {
			s.probe.back++
		}
		at = now + s.probeWhen()
	}
	s.tmr.set(timerProbe, s.clampProbe(now, at))
	s.mem.Stats.WinProbes++
	return nil
}

// probeVain says whether there were probes enough. What no device takes is no silence of the peer's: it is not counted, but an orphan, which
// nobody else would end, gets no more time than its retransmissions would.
func (s *sender) probeVain(now int64) bool {
	limit := s.p.Retries2
	if s.orphan {
		limit = s.orphanRetries(s.probeWhen() < s.rtoMax())
	}
	if s.probe.stuck {
		return s.orphan && now-s.probe.since >= modelTimeout(limit, s.rtoMin(), s.rtoMax())
	}
	return int(s.probe.tries) >= limit
}

// stuckProbe is how often what no device takes is tried: Linux' TCP_RESOURCE_PROBE_INTERVAL.
const stuckProbe = 500e6

// refused tells that next's segment did not go out: a ring or the pool has no room. It leaves as soon as there is some; a timer
// watches meanwhile if nothing else would. A SYN counts as sent, and lost, after a second, so that a connect ends.
func (s *sender) refused(now int64, t *txSeg) {
	switch {
	case s.sb.out > 0 || s.synackOut:
	case t.syn && now-s.lastSent >= initialRTO:
		s.sent(now, t)
	case t.syn:
		s.tmr.retry = s.lastSent + initialRTO
	default:
		s.probe.stuck = true
		s.armProbe(now)
	}
}

// nextProbe is as much of the next segment as the window allows, or a bare probe.
func (s *sender) nextProbe(now int64) (txSeg, bool) {
	if r := s.q.unsent; r != nil && r.seq.LT(s.wndEnd()) && s.sb.out == 0 {
		if n := min(s.wndEnd().Sub(r.seq), s.mss); r.end().Sub(r.seq) > n { // the FIN counts: it may have to wait
			s.split(r, min(n, int(r.n)))
		}
		r.flags |= recPSH
		return s.newSegment(r), true
	}
	return txSeg{seq: s.una - 1, probe: true}, true
}

// probeNow asks for one bare probe: a keepalive, or a window update that a repaired connection asks for.
func (s *sender) probeNow() { s.probe.due = true }

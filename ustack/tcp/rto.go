package tcp

import "math/bits"

// timerKind is what the sender's one timer waits for; as in Linux, one purpose excludes the others.
type timerKind uint8

const (
	timerNone    timerKind = iota
	timerRTO               // RFC 6298
	timerTLP               // a tail loss probe, RFC 8985 §7
	timerReorder           // RACK's reordering window, RFC 8985 §6.2
	timerProbe             // zero-window probe, RFC 9293 §3.8.6.1
	timerSYNACK            // a SYN-ACK that is not in the queue
)

// sendTimer is the sender's timer, and a short one for "try again soon".
type sendTimer struct {
	at      int64
	retry   int64 // a frame was still in a ring or the pool was empty
	since   int64 // when the first of the timeouts without progress was
	kind    timerKind
	retries uint8 // timeouts in a row without progress (Linux' icsk_retransmits)

	recovers bool   // what a timeout began is not over: spent is without the present time
	spent    uint32 // ms in recoveries: see rtostats.go
}

// ringRetry is how soon something that waits for a ring or a frame is tried again.
const ringRetry = 1e6

func (t *sendTimer) set(k timerKind, at int64) { t.kind, t.at = k, at }
func (t *sendTimer) stop()                     { t.kind, t.at = timerNone, 0 }

func (s *sender) rtoMin() int64 { return int64(s.p.RTOMin) }
func (s *sender) rtoMax() int64 { return int64(s.p.RTOMax) }

// rto is the present retransmission timeout in ns: "A maximum value MAY be placed on RTO" (RFC 6298
// §2 (2.5)), doubled for each timeout in a row: "RTO <- RTO * 2 ('back off the timer')" §5 (5.5).
func (s *sender) rto() int64 {
	v := s.rtt.rto
	for range s.rtt.back {
		if v *= 2; v >= s.rtoMax() {
			break
		}
	}
	return min(v, s.rtoMax())
}

// rearmRTO is "(5.3) When an ACK is received that acknowledges new data, restart the retransmission timer so that it
// will expire after RTO seconds" RFC 6298, and (5.2) "When all outstanding data has been acknowledged, turn off".
// Coming from a loss probe or RACK's timer, the time counts from when the first segment was sent.
func (s *sender) rearmRTO(now int64) {
	if s.synackOut {
		return // the timer is the SYN-ACK's
	}
	if s.sb.out == 0 {
		if s.tmr.kind != timerProbe {
			s.tmr.stop()
		}
		return
	}
	at := now + s.rto()
	if s.tmr.kind == timerTLP || s.tmr.kind == timerReorder {
		at = max(s.q.head.txAt+s.rto(), now+1)
	}
	s.tmr.set(timerRTO, s.clampUserTime(now, at))
}

// clampUserTime makes a timer fire at the moment TCP_USER_TIMEOUT runs out (RFC 5482).
func (s *sender) clampUserTime(now, at int64) int64 {
	if s.userTime == 0 || s.tmr.retries == 0 {
		return at
	}
	return max(min(at, s.tmr.since+s.userTime), now+1)
}

// deadline is when onTimer wants to be called, 0 for never.
func (s *sender) deadline() int64 {
	if s.frozen {
		return 0
	}
	d := s.tmr.at
	for _, t := range [...]int64{s.tmr.retry, s.pace.wake} {
		if t != 0 && (d == 0 || t < d) {
			d = t
		}
	}
	if s.buf.starved && s.buf.noSpace {
		if at := max(s.buf.look, 1); d == 0 || at < d {
			d = at
		}
	}
	return d
}

// onTimer does what is due.
func (s *sender) onTimer(now int64) timerOut {
	var o timerOut
	if s.frozen {
		return o
	}
	if s.tmr.retry != 0 && now >= s.tmr.retry {
		s.tmr.retry, o.send = 0, true
	}
	if at := s.pace.wake; at != 0 && now >= at {
		s.pace.wake, o.send = 0, true
	}
	if s.buf.starved {
		o.space = s.freed()
		s.buf.pause = min(2*max(s.buf.pause, ringRetry/2), 64*ringRetry)
		s.buf.look = now + int64(s.buf.pause)
	}
	if s.tmr.at == 0 || now < s.tmr.at {
		return o
	}
	s.nagle.more = false
	o.send = true
	switch k := s.tmr.kind; k {
	case timerRTO:
		o.err, o.bad = s.onRTO(now)
	case timerTLP:
		s.onTailProbe(now)
	case timerReorder:
		s.onReorderTimer(now)
	case timerProbe:
		o.err = s.onProbeTimer(now)
	case timerSYNACK:
		o.err = s.onSYNACKTimer(now)
		o.synack = o.err == nil
	}
	return o
}

// onRTO is "(5.4) Retransmit the earliest segment that has not been acknowledged by the TCP receiver", with cwnd of
// one segment, until it went on for too long.
func (s *sender) onRTO(now int64) (err error, doubt bool) {
	if s.sb.out == 0 {
		s.tmr.stop()
		return nil, false
	}
	s.mem.Stats.Timeouts++
	zeroWindow := s.wnd == 0 && !s.synOut && !s.orphan
	if s.gaveUp(now, zeroWindow) {
		s.tmr.stop()
		s.mem.Stats.AbortOnTimeout++
		return ErrTimeout, false
	}
	if s.tmr.retries == 0 {
		s.countFailure()
	}
	s.enterLoss(now)
	if !zeroWindow { // a peer that has closed its window is probed
		s.countTimeout(now)
	}
	if s.tmr.retries == 0 {
		if s.tmr.since = now; s.synOut {
			s.tmr.since = s.q.head.txAt
		}
	}
	s.tmr.retries += min(1, 255-s.tmr.retries)
	past := int(s.tmr.retries) - s.p.Retries1
	if doubt = past == 1 && !s.synOut; past >= 1 && !s.synOut {
		s.blackHole(now)
	}
	// Linux 6.18: the first four SYNs of an active open are a second apart (tcp_syn_linear_timeouts).
	if !(s.synOut && s.active && int(s.tmr.retries) <= s.p.SYNLinear) && s.rtt.back < 63 {
		s.rtt.back++
	}
	s.tmr.set(timerRTO, s.clampUserTime(now, now+s.rto()))
	return nil, doubt
}

// gaveUp says whether retransmitting has gone on for too long: "R2 [...] SHOULD correspond to at least 100 seconds"
// RFC 9293 §3.8.3; Linux counts the time that tcp_retries2 doublings of 200 ms would take.
func (s *sender) gaveUp(now int64, zeroWindow bool) bool {
	switch {
	case s.synOut:
		n := int(s.synTries)
		if n == 0 {
			n = s.p.SYNRetries
		}
		if s.timedOut(now, n) { // the time that counts is that of n doublings, though the first SYNs follow each other faster
			return true
		}
		if s.active {
			n += s.p.SYNLinear
		}
		return int(s.tmr.retries) >= n
	case zeroWindow: // a peer that answers: "MUST allow the connection to stay open" RFC 9293 §3.8.6.1
		limit := 2 * s.rtoMax()
		if s.userTime != 0 {
			limit = s.userTime
		}
		return now-s.lastAck > max(limit, s.rto())
	case s.orphan:
		return s.timedOut(now, s.orphanRetries(s.rto() < s.rtoMax()))
	}
	return s.timedOut(now, s.p.Retries2)
}

// orphanRetries is tcp_orphan_retries: 0 means 8 (50 s) when the path still seems alive, 7 if not.
func (s *sender) orphanRetries(alive bool) int {
	n := s.p.OrphanRetries
	if n == 0 && alive {
		return 8
	}
	return n
}

// timedOut says whether the time since the first timeout without progress is past TCP_USER_TIMEOUT, or past that of n retries.
func (s *sender) timedOut(now int64, n int) bool {
	if s.tmr.retries == 0 {
		return false
	}
	limit := s.userTime
	if limit == 0 {
		base := s.rtoMin()
		if s.synOut {
			base = initialRTO
		}
		limit = modelTimeout(n, base, s.rtoMax())
	}
	return now-s.tmr.since >= limit
}

// modelTimeout is how long n retransmissions take when the first timeout is base and doubles up to limit.
func modelTimeout(n int, base, limit int64) int64 {
	linear := bits.Len64(uint64(limit/base)) - 1
	if n <= linear {
		return (2<<n - 1) * base
	}
	return (2<<linear-1)*base + int64(n-linear)*limit
}

// enterLoss is a retransmission timeout: everything that is old enough counts as lost, and cwnd is one segment.
// "upon a timeout [...] cwnd MUST be set to no more than the loss window, LW, which equals 1 full-sized segment" RFC 5681 §3.1
func (s *sender) enterLoss(now int64) {
	fresh := s.state < caRecovery
	s.timeoutMarkLost(now)
	// "when a TCP sender detects segment loss using the retransmission timer and the given segment has already been
	// retransmitted by way of the retransmission timer at least once, the value of ssthresh is held constant"
	// RFC 5681 §3.1
	if s.state <= caDisorder || !s.highSeq.GT(s.una) || s.state == caLoss && s.tmr.retries == 0 {
		s.undo.ssthresh = s.currentSsthresh()
		s.undo.cwnd = s.cwnd
		s.ssthresh = s.cc.reduce(s, now, ccTimeout)
		s.cc.event(s, now, ccTimeout)
		s.undo.begin(s)
	}
	s.cwnd, s.cwndCnt = s.inFlight()+1, 0
	s.cwv.stamp = now
	if s.state <= caDisorder && s.sb.sacked >= uint32(s.p.Reordering) {
		s.rack.reordering = min(s.rack.reordering, uint32(s.p.Reordering))
	}
	again := s.tmr.retries > 0
	s.state, s.highSeq = caLoss, s.nxt
	s.tlp, s.pmtu.probe = tlp{}, 0
	s.ecn.reduced()
	// RFC 5682 §2.1 step 1, which is for timeouts outside of a recovery and, as Linux, for those in a row.
	s.frto = frto{on: s.p.FRTO && (fresh || again) && !s.synOut}
	if fresh {
		s.mem.Stats.LossEvents++
	}
}

// countFailure counts what it was that a timeout had to end, as the kernel's tcp_retransmit_timer.
func (s *sender) countFailure() {
	st := &s.mem.Stats
	count := func(sack, reno *uint64) {
		if s.sackOK {
			*sack++
		} else {
			*reno++
		}
	}
	switch {
	case s.state == caRecovery:
		count(&st.SackRecoveryFail, &st.RenoRecoveryFail)
	case s.state == caLoss:
		st.LossFailures++
	case s.state == caDisorder || s.sb.sacked > 0:
		count(&st.SackFailures, &st.RenoFailures)
	}
}

// timeoutMarkLost marks what a timeout makes doubtful. A peer that took back what it SACKed ("reneging") makes its
// reports worthless: "the data sender SHOULD turn off all of the SACKed bits, since the timeout might indicate that the
// data receiver has reneged" RFC 2018 §5.
func (s *sender) timeoutMarkLost(now int64) {
	head := s.q.head
	renege := head.has(recSacked)
	if renege {
		s.mem.Stats.SackReneging++
		s.undo.reneged = true
	} else if !s.sackOK {
		s.resetReno()
	}
	for r := head; r != nil && r.has(recSent); r = r.next {
		s.mem.Stats.Looked++
		if renege && r.has(recSacked) {
			r.flags &^= recSacked
			r.tnext = nil
			s.sb.sacked--
			s.q.stamp(r)
		} else if s.sackOK && r != head && s.rack.stillFlying(now, r) {
			continue // sent too recently to be judged by this timeout (RFC 8985 §6.3)
		}
		s.lose(now, r)
	}
	if renege {
		s.sb.forget(s.una)
	}
}

package tcp

import "errors"

// errAckNew and errAckOld are an ACK of something never sent, and one older than any window: "the ACK value is considered
// acceptable only if it is in the range of ((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT)" RFC 5961 §5.2. The answer to
// both is an ACK.
var (
	errAckNew = errors.New("ACK of something never sent")
	errAckOld = errors.New("ACK older than the largest window")
)

// ackWork is what is known of the ACK being processed.
type ackWork struct {
	now int64
	in  *ackIn

	priorUna       Seq
	priorHigh      Seq // end of the highest SACKed segment before
	rate           rateWork
	priorInFlight  uint32
	priorDelivered uint32
	priorLost      uint32

	advanced   bool // SND.UNA moved
	dataAcked  bool
	againAcked bool // something acknowledged cumulatively had been retransmitted
	origSacked bool // something never retransmitted, sent before the episode, was delivered
	dupAck     bool // a duplicate ACK as RFC 5681 §2 defines it
	dsack      bool
	dsackTLP   bool
	ece        bool
	rexmit     bool // lost segments may be sent again
	lostAgain  bool // a retransmission was lost
	setTimer   bool // the retransmission timer starts anew
	ownTimer   bool // unless something more urgent was set

	dup    sackRange // the DSACK block
	sacked int       // segments newly SACKed
	acked  uint32    // segments newly acknowledged

	low    Seq // lowest segment that was delivered late
	hasLow bool

	firstSackT, lastSackT int64 // when the first and last newly SACKed original left
	firstAckT, lastAckT   int64 // the same for those acknowledged
	ackedDelivered        uint32
}

// reorder notes a segment that was delivered after a later one.
func (a *ackWork) reorder(seq Seq) {
	if !a.hasLow || seq.LT(a.low) {
		a.low, a.hasLow = seq, true
	}
}

// onAck takes the acknowledgment of an acceptable segment.
func (s *sender) onAck(now int64, in *ackIn) (out ackOut) {
	switch {
	case in.ack.GT(s.nxt):
		return ackOut{err: errAckNew}
	case in.ack.LT(s.una):
		if in.ack.LT(s.una.Add(-int(s.maxWnd))) {
			return ackOut{err: errAckOld}
		}
		if len(in.sack) == 0 || !s.sackOK || s.sb.out == 0 {
			return ackOut{}
		}
	}
	if s.sb.out == 0 && len(in.sack) == 0 { // nothing is on its way: nearly every segment that a receiver gets
		s.prepare(now, in, &out)
		s.probeAcked(now)
		s.settled(now, &out)
		return out
	}
	a := ackWork{now: now, in: in, priorUna: s.una, priorHigh: s.sackHigh(), priorInFlight: s.inFlight(),
		priorDelivered: s.rate.delivered, priorLost: s.sb.lostMarks, ece: in.ece, advanced: in.ack.GT(s.una)}
	hadOut := s.sb.out > 0
	old := in.ack.LT(s.una)
	if !old {
		s.prepare(now, in, &out)
	}
	a.dupAck = hadOut && !a.advanced && in.dataLen == 0 && !out.wndMoved && !old
	a.rate.rtt = -1
	if s.sackOK && len(in.sack) > 0 && (hadOut || s.undo.on) {
		s.sackTag(&a)
	}
	if !hadOut {
		s.probeAcked(now)
		if a.dsack && s.state <= caDisorder {
			s.undoDSACK(now) // the report of the last duplicate may come when all is acknowledged
		}
	} else {
		s.cleanAcked(&a, &out)
		s.afterClean(&a)
	}
	out.sacked = a.sacked
	s.settled(now, &out)
	return out
}

// settled says what follows for the connection.
func (s *sender) settled(now int64, out *ackOut) {
	out.send = s.q.head != nil
	if out.moved {
		if out.space = s.freed(); s.chrono.kind != chronoNone {
			s.ackedChrono(now)
		}
	}
}

// prepare takes the window and what depends on una alone.
func (s *sender) prepare(now int64, in *ackIn, out *ackOut) {
	s.lastAck = now
	s.nagle.more = false
	s.probe.tries = 0
	s.frto.newFirst = false
	if in.ack.GT(s.una) {
		s.tmr.retries = 0
		out.moved = true
	}
	if out.wndMoved = s.updateWindow(in); out.wndMoved && s.q.unsent != nil {
		s.restartAfterIdle(now) // a window that was shut for long says nothing about the path, as Linux
	}
	s.una = in.ack
}

// updateWindow: "If SND.UNA =< SEG.ACK =< SND.NXT, the send window should be updated. If (SND.WL1 < SEG.SEQ or
// (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set SND.WND <- SEG.WND" RFC 9293 §3.10.7.4. Linux 6.18: an ACK that
// advances always counts, one of the same sequence number only if it opens the window or closes it wholly.
func (s *sender) updateWindow(in *ackIn) bool {
	if !(in.ack.GT(s.una) || in.seq.GT(s.wl1) || in.seq == s.wl1 && (in.wnd > s.wnd || in.wnd == 0)) {
		return false
	}
	s.wl1 = in.seq
	if in.wnd == s.wnd {
		return false
	}
	s.wnd = in.wnd
	s.maxWnd = max(s.maxWnd, in.wnd)
	return true
}

// cleanAcked frees what is acknowledged: "Any segments on the retransmission queue that are thereby entirely
// acknowledged are removed." RFC 9293 §3.10.7.4
func (s *sender) cleanAcked(a *ackWork, out *ackOut) {
	for r := s.q.head; r != nil && r.has(recSent); r = s.q.head {
		if s.una.LT(r.end()) {
			s.cutHead(r, out)
			break
		}
		s.ackedRec(a, r, out)
		s.q.charge -= r.cost()
		s.uncount(r)
		s.q.pop()
		s.mem.recycle(r)
	}
	if !s.sackOK {
		s.removeReno(a.acked)
		if a.againAcked {
			a.origSacked = false // without SACK it may have been the retransmission that arrived
		}
	}
	if !a.sackUseful() {
		return
	}
	if a.hasLow && (s.state != caLoss || s.undo.on) {
		s.checkLow(a)
	}
}

func (a *ackWork) sackUseful() bool { return a.sacked > 0 || a.acked > 0 }

// checkLow judges reordering against the highest segment known before the ACK or, for blocks, after it.
func (s *sender) checkLow(a *ackWork) {
	high := maxSeq(a.priorHigh, s.sackHigh())
	if a.low.LT(high) && s.sackOK {
		if n := high.Sub(a.low); n > int(s.rack.reordering)*s.mss {
			s.rack.reordering = uint32(min((n+s.mss-1)/s.mss, s.p.MaxReordering))
		}
		s.rack.seen = true
		s.sb.reorders++
		s.mem.Stats.SACKReorder++
	}
}

// ackedRec notes what one fully acknowledged record tells.
func (s *sender) ackedRec(a *ackWork, r *txRec, out *ackOut) {
	a.acked++
	out.acked += int(r.n)
	out.synAcked = out.synAcked || r.has(recSYN)
	out.finAcked = out.finAcked || r.has(recFIN)
	if !r.has(recSYN) {
		a.dataAcked = true
	}
	switch {
	case r.has(recEver):
		a.againAcked = true
	case !r.has(recSacked):
		if a.firstAckT == 0 {
			a.firstAckT = r.txAt
		}
		a.lastAckT = r.txAt
		if r.seq.LT(a.priorHigh) {
			a.reorder(r.seq) // a hole below a SACKed segment was filled by the original
		}
		if r.end().LEQ(s.highSeq) {
			a.origSacked = true
		}
	}
	switch {
	case r.has(recSacked):
	case !s.sackOK:
		s.sampled(a, r) // counted by removeReno
	default:
		s.delivered(a, r)
		if !r.has(recSYN) {
			s.rackAdvance(a, r)
		}
	}
}

// cutHead drops the acknowledged first bytes of a segment.
func (s *sender) cutHead(r *txRec, out *ackOut) {
	n := s.una.Sub(r.seq)
	if n <= 0 || r.buf == nil {
		return
	}
	n = min(n, int(r.n))
	r.skip(n)
	s.q.charge -= n
	out.acked += n
}

// afterClean draws the conclusions: round-trip time, losses, window, timer.
func (s *sender) afterClean(a *ackWork) {
	synDone := s.synOut && s.una.GT(s.iss)
	if synDone {
		s.synAcked(a.now)
	}
	s.takeRTT(a)
	s.rackAdapt(a)
	s.tailProbeAcked(a)
	s.probeArrived(a.now)
	if a.dubious() || s.state != caOpen {
		s.recover(a)
	}
	if a.advanced && a.acked > 0 {
		a.setTimer = true
	}
	if a.setTimer && !a.ownTimer {
		if !s.armTailProbe(a.now, true) {
			s.rearmRTO(a.now)
		}
	}
	if s.sb.out == 0 {
		s.rearmRTO(a.now)
		s.probeAcked(a.now)
	}
	s.control(a)
}

// dubious: the ACK is more than plain progress.
func (a *ackWork) dubious() bool { return !a.advanced || a.sacked > 0 || a.dsack || a.ece }

// control moves cwnd: within a reduction by PRR, else by the algorithm if the window was really used.
func (s *sender) control(a *ackWork) {
	n := s.rate.delivered - a.priorDelivered
	lost := s.sb.lostMarks - a.priorLost
	s.mem.Stats.Delivered += uint64(n)
	if a.ece {
		s.rate.deliveredCE += n
		s.mem.Stats.DeliveredCE += uint64(n)
	}
	s.cc.sample(s, a.now, s.rate.sample(s, a, n, lost))
	switch {
	case s.ownCwnd:
	case s.inReduction():
		s.reduceStep(n, a.advanced && lost == 0)
	case s.mayRaise(a) && n > 0 && s.cwndLimited():
		s.cc.grow(s, a.now, n)
		s.cwnd = min(s.cwnd, s.clamp)
	}
	s.pace.update(s)
}

// mayRaise: on a path that reorders a lot, SACK is progress too.
func (s *sender) mayRaise(a *ackWork) bool {
	if s.rack.reordering > uint32(s.p.Reordering) {
		return a.dataAcked || a.sacked > 0
	}
	return a.dataAcked
}

package tcp

// caState is the congestion state, with the names and numbers TCP_INFO tells.
type caState uint8

const (
	caOpen     caState = iota
	caDisorder         // SACK or duplicate ACKs, nothing lost yet
	caCWR              // the window is being reduced, without loss (ECN)
	caRecovery         // fast recovery
	caLoss             // after a retransmission timeout
)

func (s *sender) inReduction() bool { return s.state == caCWR || s.state == caRecovery }

// currentSsthresh is the ssthresh that an undo gives back: three quarters of a larger cwnd, since that much was proven.
func (s *sender) currentSsthresh() uint32 {
	if s.inReduction() {
		return s.ssthresh
	}
	return max(s.ssthresh, s.cwnd>>1+s.cwnd>>2)
}

// recover acts on an ACK that is not plain progress; it is the state machine of congestion states.
func (s *sender) recover(a *ackWork) {
	if s.sb.out == 0 {
		s.sb.sacked = 0
	}
	if a.ece {
		s.undo.ssthresh = 0 // real congestion: nothing to take back
	}
	if s.reneging(a) {
		return
	}
	if s.state == caOpen {
		s.undo.retransAt = 0
	} else if s.una.GEQ(s.highSeq) && s.episodeOver(a) {
		return
	}
	switch s.state {
	case caRecovery:
		s.inRecovery(a)
	case caLoss:
		s.inLoss(a)
	default:
		s.notInRecovery(a)
	}
	if s.tmr.recovers && s.state != caLoss {
		s.recovered(a.now)
	}
}

// episodeOver ends a reduction whose last segment is acknowledged. True: nothing more to do.
func (s *sender) episodeOver(a *ackWork) bool {
	switch s.state {
	case caCWR:
		// Over when something beyond the point was acknowledged, so that another ECE is not from the same window.
		if s.una != s.highSeq {
			s.endReduction(a.now)
			s.state = caOpen
		}
	case caRecovery:
		if !s.sackOK {
			s.resetReno()
		}
		if s.undoRecovery(a) {
			return true
		}
		s.endReductionFrom(a.now, caRecovery)
	}
	return false
}

func (s *sender) inRecovery(a *ackWork) {
	if !a.advanced {
		if !s.sackOK {
			s.addReno(a)
		}
	} else if s.undoPartial(a) {
		return
	}
	if s.undoDSACK(a.now) {
		s.tryOpen(a)
	}
	s.findLost(a)
	if s.state != caRecovery {
		if s.sb.lost == 0 {
			return
		}
		s.enterRecovery(a.now, a.ece)
	}
	a.rexmit = true
}

func (s *sender) inLoss(a *ackWork) {
	s.afterTimeout(a)
	if s.frto.newFirst {
		return
	}
	s.findLost(a)
	if s.state == caOpen || a.lostAgain {
		s.notInRecovery(a)
	}
}

func (s *sender) notInRecovery(a *ackWork) {
	if !s.sackOK {
		if a.advanced {
			s.resetReno()
		}
		s.addReno(a)
	}
	if s.state <= caDisorder {
		s.undoDSACK(a.now)
	}
	s.findLost(a)
	if s.sb.lost == 0 {
		s.tryOpen(a)
		return
	}
	if s.state == caLoss {
		if !a.lostAgain {
			return
		}
	}
	a.rexmit = true
	if !s.probeLost(a.now) {
		s.enterRecovery(a.now, a.ece)
	}
}

// reneging notices that the first unacknowledged segment is one the peer SACKed: it gave the data up. A timeout soon
// tells for sure.
func (s *sender) reneging(a *ackWork) bool {
	if !a.advanced || !s.q.head.sackedHead() {
		return false
	}
	wait := max(s.rtt.srtt/2, 10e6)
	s.tmr.set(timerRTO, a.now+wait)
	a.ownTimer = true
	return true
}

func (r *txRec) sackedHead() bool { return r != nil && r.has(recSacked) }

// tryOpen leaves Disorder when nothing is out of order any more.
func (s *sender) tryOpen(a *ackWork) {
	if !s.anyRexmit() {
		s.undo.retransAt = 0
	}
	if a.ece {
		s.enterCWR(a.now, ccECN)
	}
	if s.state != caCWR {
		s.keepOpen()
	}
}

func (s *sender) keepOpen() {
	st := caOpen
	if s.sb.sacked+s.sb.lost > 0 || s.anyRexmit() {
		st = caDisorder
	}
	if s.state != st {
		s.state, s.highSeq = st, s.nxt
	}
}

// enterRecovery starts fast recovery: "RecoveryPoint = HighData [...] ssthresh = cwnd = (FlightSize / 2)" RFC 6675 §5
// (4.1, 4.2), with the algorithm's own factor.
func (s *sender) enterRecovery(now int64, ece bool) {
	s.undo.ssthresh = 0
	s.undo.begin(s)
	if !s.inReduction() {
		if !ece {
			s.undo.ssthresh = s.currentSsthresh()
		}
		s.beginReduction(now, ccLoss)
	}
	s.state = caRecovery
	s.cc.event(s, now, ccLoss)
	s.mem.Stats.LossEvents++
	if s.sackOK {
		s.mem.Stats.SackRecovery++
	} else {
		s.mem.Stats.RenoRecovery++
	}
}

// enterCWR reduces the window once per round trip without loss.
func (s *sender) enterCWR(now int64, why ccEvent) {
	s.undo.ssthresh = 0
	if s.state < caCWR {
		s.undo.on = false
		s.beginReduction(now, why)
		s.state = caCWR
	}
}

// findLost marks what is lost: by RACK, or without SACK by the third duplicate ACK and by partial ACKs.
func (s *sender) findLost(a *ackWork) {
	if s.q.head == nil || !s.q.head.has(recSent) {
		return
	}
	if !s.sackOK {
		s.markNewReno(a)
		return
	}
	before := s.mem.Stats.LostRetransmit
	a.ownTimer = s.rackMarkLost(a.now) || a.ownTimer
	a.lostAgain = a.lostAgain || s.mem.Stats.LostRetransmit != before
}

// markNewReno: "the third duplicate ACK" (RFC 5681 §3.2), or "a partial ACK. In this case, retransmit the first
// unacknowledged segment" (RFC 6582 §3.2 step 3).
func (s *sender) markNewReno(a *ackWork) {
	third := s.state < caRecovery && s.sb.sacked >= s.rack.reordering
	partial := s.state == caRecovery && a.advanced
	if (third || partial) && !s.q.head.has(recLost) {
		s.lose(a.now, s.q.head)
	}
}

// addReno counts a duplicate ACK as one delivered segment, as SACK would tell.
func (s *sender) addReno(a *ackWork) {
	if !a.dupAck {
		return
	}
	s.sb.sacked++
	if !s.limitReno() {
		s.rate.delivered++
	}
}

// limitReno keeps at least one hole among what is out; true when the count had to be cut.
func (s *sender) limitReno() bool {
	most := int(s.sb.out) - int(max(s.sb.lost, 1))
	if int(s.sb.sacked) <= most {
		return false
	}
	s.sb.sacked = uint32(max(most, 0))
	s.mem.Stats.RenoReorder++
	return true
}

// removeReno takes what an ACK covers out of the emulated count.
func (s *sender) removeReno(acked uint32) {
	if acked > 0 {
		s.rate.delivered += uint32(max(int(acked)-int(s.sb.sacked), 1))
	}
	if acked > 1 { // one segment filled the hole, the others had been counted
		s.sb.sacked -= min(acked-1, s.sb.sacked)
	}
	s.limitReno()
}

func (s *sender) resetReno() {
	if !s.sackOK {
		s.sb.sacked = 0
	}
}

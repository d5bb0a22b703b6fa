package tcp

// undoState remembers what a reduction of cwnd took away, to give it back if the loss turns out to be none: because the
// peer reports every retransmission as a duplicate (DSACK, RFC 3708), or because an ACK echoes a timestamp older than
// the first retransmission (Eifel, RFC 3522 §3.2).
type undoState struct {
	on        bool
	reneged   bool
	una       Seq    // SND.UNA when the episode began
	pending   int32  // retransmissions not yet reported as duplicates; -1: none was made
	ssthresh  uint32 // before the reduction; 0: it must not be undone (ECN)
	cwnd      uint32 // before the reduction
	retransAt int64  // when the first retransmission of the present flight left, 0: none
}

// begin starts to watch an episode.
func (u *undoState) begin(s *sender) {
	u.on, u.una = true, s.una
	u.pending = int32(s.sb.rexmit)
	if s.tlp.active && s.tlp.again {
		u.pending++ // the probe was this flight's first retransmission
	}
	if u.pending == 0 {
		u.pending = -1
	}
}

// sentAgain counts one retransmission.
func (u *undoState) sentAgain(now int64) {
	if u.retransAt == 0 {
		u.retransAt = now
	}
	if u.pending < 0 {
		u.pending = 0
	}
	u.pending++
}

// mayUndo says whether the episode was a mistake.
func (s *sender) mayUndo(a *ackWork) bool {
	return s.undo.on && (s.undo.pending == 0 || s.neverSentAgain() || s.originalArrived(a))
}

// neverSentAgain: all that was deemed lost has arrived, and nothing of it was sent again. That happens when the ACKs of a
// reordered flight come in one batch: losses are repaired behind the batch's last ACK.
func (s *sender) neverSentAgain() bool {
	return s.undo.pending < 0 && s.sb.lost == 0 && !s.anyRexmit()
}

// originalArrived is Eifel's test: "If the value of the Timestamp Echo Reply field [...] is smaller than the value of
// RetransmitTS" the recovery was spurious. RFC 3522 §3.2
func (s *sender) originalArrived(a *ackWork) bool {
	if s.undo.retransAt == 0 || !a.in.hasTS || a.in.tsecr == 0 {
		return false
	}
	return int32(a.in.tsecr-s.tsNow(s.undo.retransAt)) < 0
}

// takeBack restores cwnd and ssthresh. With unmark, the segments deemed lost are in flight again.
func (s *sender) takeBack(now int64, unmark bool) {
	if unmark {
		s.unmark()
	}
	if s.undo.ssthresh != 0 {
		s.cc.event(s, now, ccUndo)
		if !s.ownCwnd {
			s.cwnd = max(s.cwnd, s.undo.cwnd)
		}
		if s.undo.ssthresh > s.ssthresh {
			s.ssthresh = s.undo.ssthresh
			s.ecn.cwrQueued = false
		}
	}
	s.cwv.stamp = now
	s.undo.on = false
	s.rackNews = true
	s.mem.Stats.Undos++
}

// undoRecovery ends an episode whose every segment is acknowledged, taking it back if it was a mistake. It says true
// when a sender without SACK has to stay in the state until one more ACK comes: duplicate ACKs caused by its own
// retransmissions must not start a new episode ("careful variant", RFC 6582 §4).
func (s *sender) undoRecovery(a *ackWork) bool {
	if s.mayUndo(a) {
		s.takeBack(a.now, false)
		s.mem.Stats.FullUndo++
	} else if s.rack.persist > 0 {
		s.rack.persist--
	}
	if s.holdReno() {
		return true
	}
	s.state, s.undo.reneged = caOpen, false
	return false
}

// holdReno is the careful variant's condition.
func (s *sender) holdReno() bool {
	if s.una != s.highSeq || s.sackOK {
		return false
	}
	if !s.anyRexmit() {
		s.undo.retransAt = 0
	}
	return true
}

// undoDSACK takes an episode back when all its retransmissions were reported as duplicates.
func (s *sender) undoDSACK(now int64) bool {
	if !s.undo.on || s.undo.pending != 0 {
		return false
	}
	s.rack.persist = min(rackPersist, s.rack.persist+1)
	s.takeBack(now, false)
	s.mem.Stats.DSACKUndo++
	return true
}

// undoLoss takes a timeout back.
func (s *sender) undoLoss(a *ackWork, frto bool) bool {
	if !frto && !s.mayUndo(a) {
		return false
	}
	s.takeBack(a.now, true)
	s.mem.Stats.LossUndo++
	s.tmr.retries = 0
	if frto {
		s.mem.Stats.SpuriousRTOs++
	}
	if s.holdReno() {
		return true
	}
	if frto || s.sackOK {
		s.state, s.undo.reneged = caOpen, false
	}
	return true
}

// undoPartial acts on an ACK within recovery that was sent before any retransmission arrived: segments were late, not
// lost. True: wait for the ACKs of the retransmissions on their way.
func (s *sender) undoPartial(a *ackWork) bool {
	if !s.undo.on || !s.originalArrived(a) && !s.neverSentAgain() {
		return false
	}
	s.sawReordering(a.priorUna)
	if s.sb.rexmit > 0 {
		return true
	}
	if !s.anyRexmit() {
		s.undo.retransAt = 0
	}
	s.takeBack(a.now, true)
	s.mem.Stats.PartialUndo++
	s.keepOpen()
	return false
}

// anyRexmit says whether a retransmission is, or may be, on its way.
func (s *sender) anyRexmit() bool {
	return s.sb.rexmit > 0 || s.q.head != nil && s.q.head.has(recEver)
}

package tcp

// tlp is the tail loss probe, RFC 8985 §7: if ACKs stop coming, one segment is sent well before the retransmission
// timeout, so that the ACK it causes shows what is missing.
type tlp struct {
	due    bool // a probe should leave now
	active bool // one is on its way
	again  bool // it was a retransmission ("TLP.is_retrans")
	end    Seq  // SND.NXT after it ("TLP.end_seq")
}

// maxAckDelay is TLP.max_ack_delay (§7.2): how long a peer may hold an ACK back, 200 ms in Linux.
const maxAckDelay = 200e6

// armTailProbe sets the probe timeout: "If SRTT is available: PTO = 2 * SRTT If FlightSize is one segment:
// PTO += TLP.max_ack_delay Else: PTO = 1 sec If Now() + PTO > TCP_RTO_expiration(): PTO = TCP_RTO_expiration() - Now()"
// §7.2 TLP_calc_PTO. False: no probe fits here, and the retransmission timer is to be set instead.
func (s *sender) armTailProbe(now int64, advanced bool) bool {
	if s.p.EarlyRetrans < 3 || !s.sackOK || s.sb.out == 0 || s.state != caOpen && s.state != caCWR || s.tlp.active || s.synackOut {
		return false
	}
	pto := int64(initialRTO)
	if s.rtt.srtt != 0 {
		pto = 2*s.rtt.srtt + timerSlack
		if s.sb.out == 1 {
			pto += maxAckDelay - timerSlack
		}
	}
	rto := s.rto()
	if !advanced { // the timer runs from when the first segment left
		rto = max(s.q.head.txAt+rto-now, 1)
	}
	s.tmr.set(timerTLP, now+min(pto, rto))
	return true
}

// adoptedProbe is the probe timeout of a connection that came from the kernel without a round-trip time.
const adoptedProbe = 10e6

// probeAdopted: what was in flight when the connection moved is lost more often than not, since neither side took anything meanwhile, and its timers began
// anew. One that moves to and fro several times a second would never see the second that "Else: PTO = 1 sec" asks for, and stand still.
func (s *sender) probeAdopted(now int64) {
	if s.rtt.srtt == 0 && s.armTailProbe(now, true) {
		s.tmr.set(timerTLP, now+adoptedProbe)
	}
}

// onTailProbe: the probe timeout passed.
//
// "After attempting to send a loss probe, regardless of whether a loss probe was sent, the sender MUST re-arm the RTO timer"
// §7.3; Linux counts it from now, not from when the first segment left.
func (s *sender) onTailProbe(now int64) {
	s.tmr.stop()
	s.rearmRTO(now)
	if s.tlp.active || s.sb.out == 0 { // "there is no other previous loss probe still in flight" §7.3
		return
	}
	s.tlp = tlp{due: true}
	s.mem.Stats.LossProbes++
}

// nextTailProbe: "Transmit the lowest-sequence unsent Segment", if the peer's window allows, though cwnd may not; "if such
// an unsent segment is not available, then the sender SHOULD retransmit the highest-sequence segment sent so far" §7.3.
func (s *sender) nextTailProbe(now int64) (txSeg, bool) {
	if r := s.q.unsent; r != nil && s.windowFits(r, s.mss) {
		if int(r.n) > s.mss {
			s.split(r, s.mss)
		}
		return s.newSegment(r), true
	}
	r := s.lastSentRec()
	if r == nil || r.has(recSacked) {
		s.tlp.due = false
		return txSeg{}, false
	}
	return s.again(now, r)
}

func (s *sender) lastSentRec() *txRec {
	if s.q.unsent != nil {
		return s.q.unsent.prev
	}
	return s.q.tail
}

func (s *sender) tailProbeSent(t *txSeg) {
	s.tlp = tlp{active: true, again: t.rexmit, end: s.nxt}
}

// tailProbeAcked is §7.4.2: an ACK at or above TLP.end_seq ends the episode. If the probe was a retransmission and no
// DSACK or plain duplicate ACK shows that both copies arrived, a segment was lost and the window is reduced once.
func (s *sender) tailProbeAcked(a *ackWork) {
	if !s.tlp.active || a.in.ack.LT(s.tlp.end) {
		return
	}
	switch {
	case !s.tlp.again, a.dsackTLP:
		s.tlp.active = false
	case a.in.ack.GT(s.tlp.end):
		s.tlp.active = false
		if s.state < caCWR {
			s.beginReduction(a.now, ccLoss)
			s.state = caCWR
			s.endReduction(a.now)
			s.keepOpen()
		}
		s.mem.Stats.LossProbeRecovery++
	case !a.advanced && a.dupAck && a.sacked == 0:
		s.tlp.active = false
	}
}

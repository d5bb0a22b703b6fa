package tcp

// frto is F-RTO, RFC 5682 in its SACK form: after a timeout, ACKs of segments that were not retransmitted prove that the
// timeout was spurious.
type frto struct {
	on       bool
	newFirst bool // step 2b: send data that never left before anything lost
}

// afterTimeout acts on an ACK in the Loss state.
func (s *sender) afterTimeout(a *ackWork) {
	recovered := s.una.GEQ(s.highSeq)
	if a.advanced && s.undoLoss(a, false) {
		return
	}
	if s.frto.on {
		// 3b): what was not retransmitted after the timeout was acknowledged, so the timeout was spurious.
		if a.origSacked && s.undoLoss(a, true) {
			return
		}
		if s.nxt.GT(s.highSeq) { // new data was sent in step 2b
			if a.sacked > 0 || a.dupAck {
				s.frto.on = false // "3a) [...] a duplicate ACK": the loss was real
			}
		} else if a.advanced && !recovered {
			s.highSeq = s.nxt
			// "if the Cumulative Acknowledgment field does not cover 'RecoveryPoint' but is larger than SND.UNA, transmit up to
			// two new (previously unsent) segments and proceed to step 3" RFC 5682 §3.1 2b)
			if s.q.unsent != nil && s.wndEnd().GT(s.nxt) {
				s.frto.newFirst = true
				return
			}
			s.frto.on = false
		}
	}
	if recovered { // 2a), 3a): all data is acknowledged
		s.undoRecovery(a)
		return
	}
	if !s.sackOK {
		if s.nxt.GT(s.highSeq) && a.dupAck {
			s.addReno(a)
		} else if a.advanced {
			s.resetReno()
		}
	}
	a.rexmit = true
}

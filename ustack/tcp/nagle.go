package tcp

// nagleState is TCP_NODELAY, TCP_CORK and MSG_MORE.
type nagleState struct {
	noDelay bool // TCP_NODELAY
	cork    bool // TCP_CORK
	more    bool // the last write said MSG_MORE; over with the next ACK or timer, as in Linux
	push    bool // once: send what is queued (TCP_NODELAY was set or the cork drawn)
}

func (s *sender) setNoDelay(on bool) {
	s.nagle.noDelay = on
	s.nagle.push = s.nagle.push || on
}

func (s *sender) setCork(on bool) {
	s.nagle.push = s.nagle.noDelay && (s.nagle.cork && !on && s.q.unsent != nil || s.nagle.push && on)
	s.nagle.cork = on
	if !on {
		s.nagle.more = false
	}
}

// nagleAllows says whether a segment that may be partial leaves now: "if there is unacknowledged data (i.e.,
// SND.NXT > SND.UNA), then the sending TCP endpoint buffers all user data [...] until the outstanding data has been
// acknowledged or until the TCP endpoint can send a full-sized segment" RFC 9293 §3.7.4. As Linux does with Minshall's
// change, only an outstanding partial segment holds the next one back.
func (s *sender) nagleAllows(r *txRec) bool {
	full := int(r.n) >= s.segGoal()
	if full || r.next != nil || r.has(recFIN) || s.urgent {
		return true
	}
	if s.nagle.push {
		s.nagle.push = false
		return true
	}
	if s.nagle.cork || s.nagle.more {
		return false
	}
	if s.nagle.noDelay {
		return true
	}
	return !(s.sb.out > 0 && s.sml.GT(s.una) && s.sml.LEQ(s.nxt))
}

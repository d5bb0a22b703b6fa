package tcp

// pmtuState is what the path told about segment sizes. Probing for a larger one (RFC 4821 §7, tcp_mtu_probing) starts
// here: search low and high are kept, the probe itself is a later step.
type pmtuState struct {
	low, high int // payload sizes that passed, and that are not known to
	holes     uint8
}

// onTooBig is an ICMP "fragmentation needed" or "packet too big" that quotes the segment numbered seq: mss is the
// payload that the new path MTU leaves. It says whether the message was believed: "a TCP connection SHOULD check that
// the sequence number in the ICMP error message is within the range of data sent but not acknowledged" RFC 5927 §4.1.
func (s *sender) onTooBig(now int64, seq Seq, mss int) bool {
	if !(seq.GEQ(s.una) && seq.LT(s.nxt)) || mss >= s.mss {
		return false
	}
	s.setMSS(now, mss)
	s.resend(now)
	return true
}

// resend marks what is too long for the path as lost without calling it congestion: "the [lost] segment does not [say
// anything about] congestion [...] the TCP sender SHOULD [...] not change the congestion window" RFC 1191 §6.5.
func (s *sender) resend(now int64) {
	was := s.sb.lostMarks
	for r := s.q.head; r != nil && r.has(recSent); r = r.next {
		if int(r.n) > s.mss && !r.has(recSacked) {
			s.markLost(r)
		}
	}
	if s.sb.lostMarks == was {
		return
	}
	if !s.sackOK {
		s.removeReno(0)
	}
	if s.state != caLoss {
		s.highSeq = s.nxt
		s.ssthresh = s.currentSsthresh()
		s.undo.ssthresh, s.undo.on = 0, false
		s.state = caLoss
	}
}

// blackHole halves the segment size when timeouts repeat, in case a router drops large packets silently
// (tcp_mtu_probing 1 and 2): RFC 4821 §7.7, RFC 8899 §4.3.
func (s *sender) blackHole(now int64) {
	if s.p.MTUProbing == 0 {
		return
	}
	mss := max(min(s.p.BaseMSS, s.mss/2), s.p.MTUProbeFloor, s.p.MinSndMSS)
	if mss < s.mss {
		s.pmtu.high = s.mss
		s.setMSS(now, mss)
		s.pmtu.holes++
	}
}

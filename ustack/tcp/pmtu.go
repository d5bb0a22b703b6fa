package tcp

// pmtuState is what the path told about segment sizes, in bytes of payload. Without a search (tcp_mtu_probing 0, or 1
// and no black hole yet) the MSS is limit; with one it is low, and probes look for the largest size that passes:
//
//	passed              not known to fail
//	 low ....... probe ....... high <= limit
type pmtuState struct {
	limit     uint16 // what route, peer and ICMP allow
	low, high uint16
	probe     uint16 // size of the probe in flight, 0 none
	on        bool   // searching
	start     Seq    // the probe in flight
	end       Seq
	at        int64 // when the search began, or began anew
}

// setMSS tells what route, peer and ICMP allow a full segment to carry. What is queued already is cut when it is sent.
func (s *sender) setMSS(now int64, mss int) {
	s.pmtu.limit = uint16(min(max(mss, s.p.MinSndMSS-20), maxPayload))
	s.syncProbing()
}

// syncProbing makes the search keep to limit, and the MSS to the search.
func (s *sender) syncProbing() {
	m := &s.pmtu
	m.low, m.high = min(m.low, m.limit), min(m.high, m.limit)
	s.mss = int(m.limit)
	if m.on {
		s.mss = int(m.low)
	}
}

// search begins between base_mss and what the path is said to take: "The initial value for search_high SHOULD be the largest
// possible packet that might be supported by the flow"; for search_low "a value of 1024 bytes is probably safe enough"
// RFC 4821 §7.2.
func (s *sender) search(now int64, on bool) {
	m := &s.pmtu
	m.on, m.at = on, now
	m.low, m.high = uint16(max(s.p.BaseMSS, s.p.MinSndMSS)), m.limit
	s.syncProbing()
}

// onTooBig is an ICMP "fragmentation needed" or "packet too big" that quotes the segment numbered seq: mss is the
// payload that the new path MTU leaves. It says whether the message was believed: careful TCPs "check that the TCP sequence
// number contained in the payload of the ICMP error message is within the range SND.UNA =< SEG.SEQ < SND.NXT" RFC 5927 §4.1.
func (s *sender) onTooBig(now int64, seq Seq, mss int) bool {
	if !(seq.GEQ(s.una) && seq.LT(s.nxt)) || mss >= int(s.pmtu.limit) {
		return false
	}
	s.setMSS(now, mss)
	if int(s.pmtu.probe) > mss {
		s.pmtu.probe = 0
	}
	s.resend(now)
	return true
}

// resend marks what is too long for the path as lost without calling it congestion: "a retransmission caused by a Datagram
// Too Big message should not change the congestion window" RFC 1191 §6.4.
func (s *sender) resend(now int64) {
	was := s.sb.lostMarks
	all := s.synOut && s.synData // the SYN with its data was too big as a whole: it goes again without
	for r := s.q.head; r != nil && r.has(recSent); r = r.next {
		if (int(r.n) > s.mss || all) && !r.has(recSacked) {
			s.markLost(r)
		}
	}
	if s.sb.lostMarks != was {
		s.notCongestion()
	}
}

// notCongestion repairs what is marked lost without a reduction of cwnd.
func (s *sender) notCongestion() {
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

// blackHole is called at each timeout past tcp_retries1, in case a router drops large packets silently: "If there is a
// full-stop timeout and there was not an ICMP message indicating a reason [...], the RECOMMENDED first recovery action is to
// treat this as a detected ICMP black hole" RFC 4821 §7.7. The first time the search begins, then its lower end is halved.
func (s *sender) blackHole(now int64) {
	switch {
	case s.p.MTUProbing == 0:
		return
	case !s.pmtu.on:
		s.search(now, true)
		return
	}
	least := max(s.p.MTUProbeFloor, s.p.MinSndMSS)
	s.pmtu.low = uint16(max(min(s.p.BaseMSS, int(s.pmtu.low)/2), least))
	s.syncProbing()
}

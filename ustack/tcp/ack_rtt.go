package tcp

// synAcked ends the handshake. "if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly
// transmitted SYN MUST be one segment consisting of at most SMSS bytes" RFC 5681 §3.1: as in Linux when it was lost twice.
// And the timeout starts from 3 s without a sample.
func (s *sender) synAcked(now int64) {
	again := s.sb.total
	s.tmr.retries = 0
	s.recovered(now)
	s.state, s.undo = caOpen, undoState{}
	s.unmark()
	s.cwnd, s.ssthresh = s.initCwnd(), infinite
	if again > 1 {
		s.cwnd = 1
	}
	s.established(now)
	if s.rtt.srtt == 0 && again > 0 {
		s.rtt.rto, s.rtt.back = fallbackRTO, 0
	}
}

// takeRTT measures the round trip: "RTT samples MUST NOT be made using segments that were retransmitted [...]. The only
// case when TCP can safely take RTT samples from retransmitted segments is when the TCP timestamp option is employed"
// RFC 6298 §3.
func (s *sender) takeRTT(a *ackWork) {
	rtt, ca := int64(-1), int64(-1)
	if a.firstAckT != 0 && !a.againAcked {
		rtt, ca = a.now-a.firstAckT, a.now-a.lastAckT
	}
	if a.firstSackT != 0 {
		if rtt < 0 {
			rtt = a.now - a.firstSackT
		}
		ca = a.now - a.lastSackT
	}
	if rtt < 0 && a.in.hasTS && a.in.tsecr != 0 && a.advanced && s.tsOK {
		// "A TSecr value received in a segment MAY be used to update the averaged RTT measurement only if the segment
		// advances the left edge of the send window, i.e., SND.UNA is increased." RFC 7323 §4.1
		if d := int64(int32(s.tsNow(a.now) - a.in.tsecr)); d >= 0 && d < 3600e3 {
			rtt = max(d, 1) * 1e6
			ca = rtt
		}
	}
	a.rate.rtt = ca
	if rtt < 0 {
		return
	}
	s.rtt.min.add(a.now, max(ca, 1), int64(s.p.MinRTTWindow))
	s.rtt.sample(s.p, rtt, s.una, s.nxt)
	if !a.advanced && a.firstSackT != 0 && s.q.head != nil && a.firstSackT < s.q.head.txAt {
		// A SACK gives the first segment time too if it left after the SACKed one; otherwise SACKs of later segments
		// would put its timeout off for ever.
		a.setTimer = true
	}
}

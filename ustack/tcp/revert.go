package tcp

// RevertBackoff tells of an ICMP error of a router that had no way (net or host unreachable) and quoted the segment
// numbered quoted. TCP-LCD, RFC 6069: the path is broken, not congested, and so one doubling of the
// timer is taken back when a retransmission elicits such an error ("a reversion strategy of the retransmission timer"), so
// that the connection goes on soon after the path does. Output or a look at Deadline must follow.
func (c *Conn) RevertBackoff(now int64, quoted Seq) {
	if c.state == Closed || c.is(flagFrozen) || c.halfFast() {
		return
	}
	c.snd.revertBackoff(now, quoted)
}

// revertBackoff is tcp_ld_RTO_revert: only the first unacknowledged segment counts, after a timeout. The timer runs from
// when that segment left, and goes off at once if it would have by now.
func (s *sender) revertBackoff(now int64, quoted Seq) {
	if quoted != s.una || s.tmr.kind != timerRTO || s.tmr.retries == 0 || s.rtt.back == 0 || s.q.head == nil {
		return
	}
	s.rtt.back--
	s.tmr.set(timerRTO, s.clampUserTime(now, max(s.q.head.txAt+s.rto(), now+1)))
}

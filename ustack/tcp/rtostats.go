package tcp

// What TCP_INFO tells of retransmission timeouts: tcpi_total_rto, tcpi_total_rto_recoveries and tcpi_total_rto_time. As in Linux those of SYN and
// SYN-ACK count, too, and timeouts in a row without progress are one recovery. One that begins before the last is over goes on with its time: Linux
// forgets what was spent until then.

// countTimeout counts one, before it counts as a retry.
func (s *sender) countTimeout(now int64) {
	s.sb.timeouts++
	if s.tmr.retries > 0 {
		return
	}
	s.sb.recoveries++
	if !s.tmr.recovers {
		s.tmr.recovers = true
		s.tmr.spent -= uint32(now / millisecond)
	}
}

// recovered ends a recovery, if there is one.
func (s *sender) recovered(now int64) {
	s.tmr.spent, s.tmr.recovers = s.timeRecovering(now), false
}

// timeRecovering is how long recoveries took in all, in milliseconds.
func (s *sender) timeRecovering(now int64) uint32 {
	if s.tmr.recovers {
		return s.tmr.spent + uint32(now/millisecond)
	}
	return s.tmr.spent
}

// countSYNACKs takes over the timeouts of a SYN-ACK that a listener sent first at sent.
func (s *sender) countSYNACKs(now, sent int64, timeouts uint8) {
	if timeouts > 0 {
		s.sb.timeouts, s.sb.recoveries = uint16(timeouts), 1
		s.tmr.spent = uint32((now - sent) / millisecond)
	}
}

package tcp

// cwv validates cwnd: a window that was not used says nothing about the path. It does not grow while it does not limit the
// sender, and it shrinks when it was not used for long. RFC 7661 measures that by pipeACK and keeps a window that is not
// validated for five minutes; the rules here are Linux', which stem from RFC 2861.
type cwv struct {
	limited  bool   // cwnd held the sender back within the present window
	maxOut   uint32 // most segments out within it
	usageSeq Seq    // its end
	used     uint32 // most segments out since stamp
	stamp    int64  // when cwnd was last validated
}

// validate is called when segments left or could not.
func (v *cwv) validate(s *sender, now int64, limited bool) {
	if s.una.GEQ(v.usageSeq) || limited || !v.limited && s.sb.out > v.maxOut {
		v.limited, v.maxOut, v.usageSeq = limited, s.sb.out, s.nxt
	}
	if s.cwndLimited() {
		v.used, v.stamp = 0, now
		return
	}
	if s.buf.noSpace && s.q.unsent == nil {
		s.chrono.start(now, chronoSndbuf)
	}
	v.used = max(v.used, s.sb.out)
	if s.p.SlowStartIdle && now-v.stamp >= s.rto() && !s.ownCwnd {
		v.appLimited(s, now)
	}
}

// cwndLimited says whether cwnd may grow. In slow start it may reach twice of what was used, as in Linux.
func (s *sender) cwndLimited() bool {
	if s.cwv.limited {
		return true
	}
	return s.cwnd < s.ssthresh && s.cwnd < 2*s.cwv.maxOut
}

// appLimited shrinks a window that was not used for a retransmission timeout to halfway of what was.
func (v *cwv) appLimited(s *sender, now int64) {
	if s.state == caOpen && !s.buf.noSpace {
		used := max(v.used, s.initCwnd())
		if used < s.cwnd {
			s.ssthresh = s.currentSsthresh()
			s.cwnd = (s.cwnd + used) / 2
		}
		v.used = 0
	}
	v.stamp = now
}

// restartAfterIdle: "when TCP has not received a segment for more than one retransmission timeout, cwnd is reduced to
// the value of the restart window" RFC 5681 §4.1; Linux halves it once per RTO of silence (RFC 2861).
func (s *sender) restartAfterIdle(now int64) {
	if !s.p.SlowStartIdle || s.sb.out > 0 || s.synOut || s.ownCwnd {
		return
	}
	rto := s.rto()
	idle := now - s.lastSent
	if idle <= rto {
		return
	}
	s.cc.event(s, now, ccRestart)
	s.ssthresh = s.currentSsthresh()
	floor := min(s.initCwnd(), s.cwnd)
	for idle -= rto; idle > 0 && s.cwnd > floor; idle -= rto {
		s.cwnd /= 2
	}
	s.cwnd = max(s.cwnd, floor)
	s.cwv.stamp, s.cwv.used = now, 0
}

// idleEnds is called when the first segment of a new flight leaves.
func (s *sender) idleEnds(now int64) {
	s.restartAfterIdle(now)
	s.cc.event(s, now, ccSend)
}

package tcp

const (
	bbr3ProbeEach = 5e9   // "BBR.ProbeRTTInterval: [...] 5 secs"
	bbr3RTTWindow = 10e9  // "BBR.MinRTTFilterLen is 10 secs"
	bbr3ProbeTime = 200e6 // "BBR.ProbeRTTDuration: [...] 200 ms"
)

// updateMinRTT is "UpdateMinRTT()". As in Linux an ACK that may have been delayed does not renew what expired.
func (b *bbr3) updateMinRTT(now int64, r *ackSample) {
	b.expired = now > b.probeAt+bbr3ProbeEach
	if r.rtt >= 0 && (b.probeRTT == 0 || r.rtt < b.probeRTT || b.expired && !r.delayed) {
		b.probeRTT, b.probeAt = max(r.rtt, 1), now
	}
	if b.probeRTT != 0 && (b.minRTT == 0 || b.probeRTT < b.minRTT || now > b.minAt+bbr3RTTWindow) {
		b.minRTT, b.minAt = b.probeRTT, b.probeAt
	}
}

// checkProbeRTT is "CheckProbeRTT()".
func (b *bbr3) checkProbeRTT(s *sender, now int64, r *ackSample) {
	if b.state != bbr3ProbeRTT && b.expired && !b.idle {
		b.saveCwnd(s)
		b.state = bbr3ProbeRTT
		b.doneAt = 0
		b.phase = acksStopping
		b.nextRound = s.rate.delivered
	}
	if b.state == bbr3ProbeRTT {
		b.handleProbeRTT(s, now)
	}
	if r.delivered > 0 {
		b.idle = false
	}
}

// handleProbeRTT is "HandleProbeRTT()".
func (b *bbr3) handleProbeRTT(s *sender, now int64) {
	s.rate.limited = max(s.rate.delivered+s.inFlight(), 1) // "Ignore low rate samples during ProbeRTT"
	switch {
	case b.doneAt == 0:
		if s.inFlight() <= b.probeCwnd() {
			b.doneAt, b.roundDone = now+bbr3ProbeTime, false
			b.nextRound = s.rate.delivered
		}
	default:
		if b.roundDone = b.roundDone || b.newRound; b.roundDone {
			b.checkProbeRTTDone(s, now)
		}
	}
}

// checkProbeRTTDone is "CheckProbeRTTDone()".
func (b *bbr3) checkProbeRTTDone(s *sender, now int64) {
	if b.doneAt == 0 || now <= b.doneAt {
		return
	}
	b.probeAt = now // "schedule next ProbeRTT"
	s.cwnd = max(s.cwnd, b.prior)
	b.resetShort() // "ExitProbeRTT()"
	if b.full {
		b.startDown(s, now)
		b.state = bbr3Cruise
	} else {
		b.state = bbr3Startup
	}
}

// probeCwnd is "ProbeRTTCwnd()": half a BDP, "max(probe_rtt_cwnd, BBR.MinPipeCwnd)".
func (b *bbr3) probeCwnd() uint32 {
	return max(b.bdp(b.bw(), bbr3Gains[bbr3ProbeRTT].window), bbrMinCwnd)
}

// restart is "HandleRestartFromIdle()": "if (C.inflight == 0 && C.app_limited)".
func (b *bbr3) restart(s *sender, now int64) {
	if s.rate.limited == 0 {
		return
	}
	b.idle = true
	b.agg.since, b.agg.acked = now, 0
	switch {
	case b.inProbeBW():
		b.setRate(s, 1)
	case b.state == bbr3ProbeRTT:
		b.checkProbeRTTDone(s, now)
	}
}

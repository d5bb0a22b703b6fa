package tcp

// setRate is "SetPacingRateWithGain(pacing_gain)": "rate = pacing_gain * bw * (100 - BBR.PacingMarginPercent) / 100; if
// (BBR.full_bw_reached || rate > C.pacing_rate) C.pacing_rate = rate". A loss can end Startup before there is a bandwidth.
func (b *bbr3) setRate(s *sender, gain float64) {
	if !b.seenRTT && s.rtt.srtt != 0 {
		b.seenRTT = s.startRate(bbr3Gains[bbr3Startup].pacing)
	}
	if rate := s.rateOf(gain * bbrMargin * b.bw()); b.bw() > 0 && (b.full || rate > s.pace.rate) {
		s.pace.set(rate)
	}
}

// setWindow is "SetCwnd()".
func (b *bbr3) setWindow(s *sender, r *ackSample) {
	most := b.quantize(s, b.bdp(b.bw(), bbr3Gains[b.state].window)+b.agg.extra(b.bw())) // "UpdateMaxInflight()"
	if b.full {
		s.cwnd = min(s.cwnd+r.acked, most)
	} else if s.cwnd < most || s.rate.delivered < initialWindow {
		s.cwnd += r.acked
	}
	s.cwnd = max(s.cwnd, bbrMinCwnd)
	if b.state == bbr3ProbeRTT { // "BoundCwndForProbeRTT()"
		s.cwnd = min(s.cwnd, b.probeCwnd())
	}
	s.cwnd = min(s.cwnd, b.bound(), s.clamp)
}

// bound is "BoundCwndForModel()": the column "Volume Cap" of the table of states.
func (b *bbr3) bound() uint32 {
	limit := uint32(infinite)
	switch b.state {
	case bbr3Down, bbr3Refill, bbr3Up:
		limit = b.long
	case bbr3Cruise, bbr3ProbeRTT:
		limit = b.withHeadroom()
	}
	return max(min(limit, b.short), bbrMinCwnd)
}

// leaveRecovery: "Upon exiting loss recovery (RTO recovery or Fast Recovery), either by repairing all losses or undoing
// recovery, BBR restores the best-known cwnd value we had upon entering loss recovery".
func (b *bbr3) leaveRecovery(s *sender) {
	if b.prev >= caRecovery && s.state < caRecovery {
		s.cwnd = max(s.cwnd, b.prior)
	}
	if b.prev = s.state; b.prev < caRecovery {
		b.saved = false
	}
}

// saveCwnd is "SaveCwnd()": "the latest C.cwnd unmodulated by loss recovery or ProbeRTT".
func (b *bbr3) saveCwnd(s *sender) {
	if s.state < caRecovery && b.state != bbr3ProbeRTT {
		b.prior = s.cwnd
	} else {
		b.prior = max(b.prior, s.cwnd)
	}
}

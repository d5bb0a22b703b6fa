package tcp

// tooManyLost is "IsInflightTooHigh()": "(RS.lost > RS.tx_in_flight * BBR.LossThresh) || (RS.lost > 0 &&
// !C.has_selective_acks)".
func tooManyLost(s *sender, lost, flight uint32) bool {
	return float64(lost) > float64(flight)*bbr3LossThresh || lost > 0 && !s.sackOK
}

// lost is "HandleLostPacket(Packet P)".
func (b *bbr3) lost(s *sender, now int64, p *txRec) {
	b.noteLoss(s)
	if p.seq != b.lossEnd {
		b.ranges += min(1, 255-b.ranges)
	}
	b.lossEnd = p.end()
	if !b.probing {
		return // "not a packet sent while probing bandwidth"
	}
	flight, lost := uint32(p.flight), s.lostSince(p.lost)
	if tooManyLost(s, lost, flight) {
		b.flightTooHigh(s, now, flightAtLoss(flight, lost), p.has(recLimited))
	}
}

// noteLoss is "NoteLoss()". The undo state is saved once an episode, "at the start of loss recovery", though the draft's
// NoteLoss does it in each round that has losses.
func (b *bbr3) noteLoss(s *sender) {
	if !b.lossInRound {
		b.lossRound = s.rate.delivered
	}
	b.lossInRound = true
	if s.state < caRecovery {
		b.saveCwnd(s)
		b.saveState()
	}
}

// flightAtLoss is "InflightAtLoss(Packet P)": at what volume in flight the losses crossed BBR.LossThresh. One record of
// the queue is one segment.
func flightAtLoss(flight, lost uint32) uint32 {
	before := float64(flight) - 1
	prefix := (bbr3LossThresh*before - (float64(lost) - 1)) / (1 - bbr3LossThresh)
	return uint32(max(before+max(prefix, 0), 0))
}

// flightTooHigh is "HandleInflightTooHigh()".
func (b *bbr3) flightTooHigh(s *sender, now int64, flight uint32, limited bool) {
	b.tooHigh, b.probing = true, false // "only react once per bw probe"
	if !limited {
		b.long = max(flight, uint32(float64(b.target(s))*bbr3Beta))
	}
	if b.state == bbr3Up {
		b.undoState = bbr3Up
		b.startDown(s, now)
	}
}

// target is "TargetInflight(): return min(BBR.bdp, C.cwnd)": "Our estimated BDP, unless congestion cut C.cwnd."
func (b *bbr3) target(s *sender) uint32 { return min(b.bdp(b.bw(), 1), s.cwnd) }

// checkHighLoss is "CheckStartupHighLoss()": "The connection has been in fast recovery for at least one full packet-timed
// round trip. The loss rate over the time scale of a single full round trip exceeds BBR.LossThresh (2%). There are at least
// BBRStartupFullLossCnt=6 discontiguous sequence ranges lost in that round trip." Without SACK, "if any packet loss is
// detected during fast recovery".
func (b *bbr3) checkHighLoss(s *sender, r *ackSample) {
	if b.state == bbr3Startup && s.state == caRecovery && (!s.sackOK && r.lost > 0 ||
		b.newLossRound && b.ranges >= bbr3LossRanges && tooManyLost(s, r.lostSince, r.flight)) {
		b.undoState = bbr3Startup
		b.leaveStartup()
	}
	if b.newLossRound {
		b.ranges = 0
	}
}

// leaveStartup: "it sets BBR.full_bw_reached = true. Then it sets BBR.inflight_longterm to its estimate of a safe level of
// in-flight data suggested by these losses, which is max(BBR.bdp, BBR.inflight_latest)".
func (b *bbr3) leaveStartup() {
	b.full = true
	b.long = max(b.bdp(b.bw(), 1), b.latest)
}

// marked is the answer to an ECN-Echo, of which the draft says only that "the congestion controller response MUST treat
// any CE marks as congestion": a window with marks counts as one with more losses than BBR.LossThresh.
func (b *bbr3) marked(s *sender, now int64) {
	if !b.lossInRound {
		b.lossRound = s.rate.delivered
	}
	b.lossInRound = true
	switch {
	case b.state == bbr3Startup:
		b.leaveStartup()
	case b.probing:
		b.flightTooHigh(s, now, s.inFlight(), false)
	}
}

// updateLatest is "UpdateLatestDeliverySignals()".
func (b *bbr3) updateLatest(s *sender, r *ackSample) {
	b.newLossRound = false
	if r.interval <= 0 {
		return
	}
	b.latestBW, b.latest = max(b.latestBW, r.rate()), max(b.latest, r.delivered)
	if int32(r.prior-b.lossRound) >= 0 {
		b.lossRound, b.newLossRound = s.rate.delivered, true
	}
}

// advanceLatest is "AdvanceLatestDeliverySignals()".
func (b *bbr3) advanceLatest(r *ackSample) {
	if b.newLossRound {
		b.latestBW, b.latest = r.rate(), r.delivered
	}
}

// updateCongestion is "UpdateCongestionSignals()": "Upon the ACK at the end of each round that encountered a newly-marked
// loss, the flow updates its model".
func (b *bbr3) updateCongestion(s *sender, r *ackSample) {
	b.updateBW(s, r)
	if b.newLossRound {
		b.adaptShort(s)
		b.lossInRound = false
	}
}

// adaptShort is "AdaptLowerBoundsFromCongestion()": "bw_shortterm = max(bw_latest, BBR.Beta * BBR.bw_shortterm),
// inflight_shortterm = max(inflight_latest, BBR.Beta * BBR.inflight_shortterm)". After a timeout the window that
// inflight_shortterm begins with is the one before it, as in Linux' version 3: that of one segment says nothing.
func (b *bbr3) adaptShort(s *sender) {
	if b.accelerating() || !b.lossInRound || b.most() == 0 {
		return
	}
	if b.shortBW == noBound {
		b.shortBW = b.most()
	}
	if b.short == infinite {
		if b.short = s.cwnd; s.state == caLoss {
			b.short = max(b.short, b.prior)
		}
	}
	b.shortBW = max(b.latestBW, bbr3Beta*b.shortBW)
	b.short = max(b.latest, uint32(bbr3Beta*float64(b.short)))
}

// resetShort is "ResetShortTermModel()".
func (b *bbr3) resetShort() { b.shortBW, b.short = noBound, infinite }

// saveState is "SaveStateUponLoss()".
func (b *bbr3) saveState() {
	if b.saved {
		return
	}
	b.saved, b.undoState = true, bbr3Drain
	b.undoBW, b.undoShort, b.undoLong = b.shortBW, b.short, b.long
}

// spurious is "HandleSpuriousLossDetection()".
func (b *bbr3) spurious(s *sender) {
	s.cwnd = max(s.cwnd, b.prior) // "RestoreCwnd()"
	b.lossInRound = false
	b.resetFull(0)
	b.shortBW, b.short = max(b.shortBW, b.undoBW), max(b.short, b.undoShort)
	b.long = max(b.long, b.undoLong)
	was := b.undoState
	b.undoState = bbr3Drain
	switch {
	case was == bbr3Startup && b.state != bbr3Startup:
		if b.full = false; b.state != bbr3ProbeRTT {
			b.state = bbr3Startup
		}
	case was == bbr3Up && b.state != bbr3Up && b.state != bbr3ProbeRTT:
		b.startRefill(s)
	}
}

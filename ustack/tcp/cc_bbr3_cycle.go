package tcp

// bbr3Phase is BBR.ack_phase, "the meaning of the ACK feedback the connection is receiving, with respect to the bandwidth
// probing".
type bbr3Phase uint8

const (
	acksInit      bbr3Phase = iota // "not probing bandwidth; not getting probe feedback"
	acksRefilling                  // "sending at estimated bandwidth to fill pipe"
	acksStarting                   // "inflight rising to probe bandwidth"
	acksFeedback                   // "getting feedback from bandwidth probing"
	acksStopping                   // "stopped bandwidth probing; still getting feedback"
)

// inProbeBW is "IsInAProbeBWState()".
func (b *bbr3) inProbeBW() bool { return b.state >= bbr3Down && b.state <= bbr3Up }

// accelerating is "IsProbingBW()".
func (b *bbr3) accelerating() bool {
	return b.state == bbr3Startup || b.state == bbr3Refill || b.state == bbr3Up
}

// startDown is "StartProbeBW_DOWN()": "to try to send slower than the network is delivering data".
func (b *bbr3) startDown(s *sender, now int64) {
	b.lossInRound, b.latestBW, b.latest = false, 0, 0 // "ResetCongestionSignals()"
	b.upEach = infinite
	b.pickWait()
	b.cycleAt = now
	b.phase = acksStopping
	b.nextRound = s.rate.delivered
	b.state = bbr3Down
}

// startRefill is "StartProbeBW_REFILL()": "to try to fully utilize the network bottleneck without creating any significant
// queue pressure".
func (b *bbr3) startRefill(s *sender) {
	b.resetShort()
	b.upRounds, b.upAcked, b.careful = 0, 0, false
	b.phase = acksRefilling
	b.nextRound = s.rate.delivered
	b.state = bbr3Refill
}

// startUp is "StartProbeBW_UP()": "ProbeBW_UP probes for possible increases in available bandwidth by raising the sending
// rate".
func (b *bbr3) startUp(s *sender, r *ackSample) {
	b.phase = acksStarting
	b.nextRound = s.rate.delivered
	b.resetFull(r.rate())
	b.state = bbr3Up
	b.raiseSlope(s)
}

// updateCycle is "UpdateProbeBWCyclePhase()".
func (b *bbr3) updateCycle(s *sender, now int64, r *ackSample) {
	if r.acked == 0 || !b.full || b.adaptLong(s, r) {
		return
	}
	switch b.state {
	case bbr3Down:
		if !b.timeToProbe(s, now) && b.timeToCruise(s) {
			b.state = bbr3Cruise
		}
	case bbr3Cruise:
		b.timeToProbe(s, now)
	case bbr3Refill:
		if b.newRound { // "After one round of REFILL, start UP"
			b.probing = true
			b.startUp(s, r)
		}
	case bbr3Up:
		if b.timeToGoDown(s, r) {
			b.tooHigh = false // "no high loss (yet)"
			b.startDown(s, now)
		}
	}
}

// timeToCruise is "IsTimeToCruise()": there is free headroom, and no queue of ours.
func (b *bbr3) timeToCruise(s *sender) bool {
	n := s.inFlight()
	return n <= b.withHeadroom() && n <= b.inflight(s, b.most(), 1)
}

// timeToGoDown is "IsTimeToGoDown()".
func (b *bbr3) timeToGoDown(s *sender, r *ackSample) bool {
	switch {
	case b.tooHigh && s.inFlight() >= b.long: // "Precautionary Bandwidth Probing: Deceleration"
		b.careful = true
		return true
	case s.cwv.limited && s.cwnd >= b.long: // "bw is limited by BBR.inflight_longterm"
		b.resetFull(r.rate())
		return false
	}
	return b.fullNow
}

// timeToProbe is "IsTimeToProbeBW()".
func (b *bbr3) timeToProbe(s *sender, now int64) bool {
	if now <= b.cycleAt+b.wait && !b.timeOfReno(s) {
		return false
	}
	b.startRefill(s)
	return true
}

// timeOfReno is "IsRenoCoexistenceProbeTime()": a flow of Reno with that window would have caused a loss by now.
func (b *bbr3) timeOfReno(s *sender) bool { return b.sinceUp >= min(b.target(s), 63) }

// pickWait is "PickProbeWait()": "We randomize both the T_bbr and T_reno parameters, for better mixing and fairness
// convergence."
func (b *bbr3) pickWait() {
	b.sinceUp = b.rand() & 1
	b.wait = 2e9 + int64(b.rand()%1024)*1e9/1024
}

// withHeadroom is "InflightWithHeadroom()": "a volume of data that tries to leave free headroom in the bottleneck buffer or
// link for other flows".
func (b *bbr3) withHeadroom() uint32 {
	if b.long == infinite {
		return infinite
	}
	room := max(1, uint32(bbr3Headroom*float64(b.long)))
	return max(b.long-min(room, b.long), bbrMinCwnd)
}

// raiseSlope is "RaiseInflightLongtermSlope()": "in each successive round trip, BBR.inflight_longterm grows (in units of
// C.SMSS) by 1, 2, 4, 8, 16, etc, with the increases spread uniformly across the entire round trip".
func (b *bbr3) raiseSlope(s *sender) {
	growth := uint32(1) << b.upRounds
	b.upRounds = min(b.upRounds+1, 30)
	b.upEach = max(s.cwnd/growth, 1)
}

// probeLong is "ProbeInflightLongtermUpward()".
func (b *bbr3) probeLong(s *sender, r *ackSample) {
	if !s.cwv.limited || s.cwnd < b.long {
		return // "not fully using BBR.inflight_longterm, so don't grow it"
	}
	b.upAcked += r.acked
	if b.upAcked >= b.upEach {
		delta := b.upAcked / b.upEach
		b.upAcked -= delta * b.upEach
		b.long = min(b.long+delta, infinite)
	}
	if b.newRound {
		b.raiseSlope(s)
	}
}

// adaptLong is "AdaptLongTermModel()"; true: it decided on the next state.
func (b *bbr3) adaptLong(s *sender, r *ackSample) bool {
	if b.phase == acksStarting && b.newRound {
		b.phase = acksFeedback // "starting to get bw probing samples"
	}
	if b.phase == acksStopping && b.newRound {
		b.probing, b.phase = false, acksInit // "end of samples from bw probing phase"
		if b.inProbeBW() && !r.limited {
			b.advanceMaxBW()
		}
		if b.inProbeBW() && b.careful && !b.tooHigh { // "Precautionary Bandwidth Probing: Acceleration"
			b.startRefill(s)
			return true
		}
	}
	if b.long == infinite || tooManyLost(s, r.lostSince, r.flight) {
		return false
	}
	b.long = max(b.long, r.flight) // "Loss rate is safe. Adjust upper bounds upward."
	if b.state == bbr3Up {
		b.probeLong(s, r)
	}
	return false
}

package tcp

// updateBW takes a sample of the delivery rate: "if (RS.delivery_rate > 0 && (RS.delivery_rate >= BBR.max_bw ||
// !RS.is_app_limited)) BBR.max_bw = UpdateWindowedMaxFilter(...)", and counts round trips: "if (P.delivered >=
// BBR.next_round_delivered) StartRound()".
func (b *bbr) updateBW(s *sender, r *ackSample) {
	b.newRound = false
	if r.interval <= 0 {
		return
	}
	if int32(r.prior-b.nextRound) >= 0 {
		b.nextRound = s.rate.delivered
		b.rounds++
		b.newRound, b.conserve = true, false
	}
	bw := float64(r.delivered) * 1e9 / float64(r.interval)
	if !r.limited || bw >= b.bw.get() {
		b.bw.add(b.rounds, bw)
	}
}

// updateCycle goes on in ProbeBW's cycle: each phase lasts a min_rtt; probing until the queue it wants has formed or
// something was lost, draining no longer than the queue lasts.
func (b *bbr) updateCycle(s *sender, now int64, r *ackSample) {
	if b.mode != bbrProbeBW {
		return
	}
	gain := bbrCycle[b.cycle]
	over := s.rate.at-b.cycleAt > b.minRTT
	switch {
	case gain > 1:
		over = over && (r.lost > 0 || b.arriving(s, now, r.inFlight) >= b.budget(s, b.bdp(gain)))
	case gain < 1:
		over = over || b.arriving(s, now, r.inFlight) <= b.budget(s, b.bdp(1))
	}
	if over {
		b.cycle = (b.cycle + 1) % uint8(len(bbrCycle))
		b.cycleAt = s.rate.at
	}
}

// arriving is how much of n segments in flight will still be in the network when the pacer lets the next one go.
func (b *bbr) arriving(s *sender, now int64, n uint32) uint32 {
	if pacing, _ := b.gains(); pacing > 1 {
		n += uint32(s.quantum()) // those that leave then
	}
	gone := uint32(b.bw.get() * float64(max(s.pace.next-now, 0)) / 1e9)
	return n - min(gone, n)
}

// checkFull: "if BBR counts several (three) non-application-limited rounds where attempts to significantly increase the
// delivery rate actually result in little increase (less than 25 percent), then it estimates that it has fully utilized
// the per-flow available bandwidth".
func (b *bbr) checkFull(r *ackSample) {
	if b.full || !b.newRound || r.limited {
		return
	}
	if bw := b.bw.get(); bw >= bbrGrowth*b.fullBW {
		b.fullBW, b.fullCount = bw, 0
		return
	}
	b.fullCount++
	b.full = b.fullCount >= bbrFullCount
}

// checkDrain: Startup's queue is drained "until [...] the amount of data in flight is less than or equal to the
// estimated BDP".
func (b *bbr) checkDrain(s *sender, now int64) {
	if b.mode == bbrStartup && b.full {
		b.mode = bbrDrain
		s.ssthresh = b.budget(s, b.bdp(1))
	}
	if b.mode == bbrDrain && b.arriving(s, now, s.inFlight()) <= b.budget(s, b.bdp(1)) {
		b.enterProbeBW(s, now)
	}
}

// enterProbeBW begins anywhere in the cycle but in the phase that drains, so that flows do not probe in step.
func (b *bbr) enterProbeBW(s *sender, now int64) {
	b.mode = bbrProbeBW
	x := (uint64(s.iss) ^ uint64(now)) * 0x9e3779b97f4a7c15
	b.cycle = uint8((8 - x>>32%7) % 8) // 0 or 2..7
	b.cycleAt = now
}

// updateMinRTT: "if (RS.rtt >= 0 && (RS.rtt < BBR.probe_rtt_min_delay || BBR.probe_rtt_expired))"; when ten seconds
// brought nothing as short, and the connection was not idle, ProbeRTT empties the path to see it anew.
func (b *bbr) updateMinRTT(s *sender, now int64, r *ackSample) {
	expired := now > b.rttAt+bbrRTTWindow
	if r.rtt >= 0 && (b.minRTT == 0 || r.rtt < b.minRTT || expired && !r.delayed) {
		b.minRTT, b.rttAt = max(r.rtt, 1), now
	}
	if expired && !b.idle && b.mode != bbrProbeRTT {
		b.mode = bbrProbeRTT
		b.save(s)
		b.doneAt = 0
	}
	if b.mode == bbrProbeRTT {
		b.probeRTT(s, now)
	}
	if r.delivered > 0 {
		b.idle = false
	}
}

// probeRTT stays "for at least BBR.ProbeRTTDuration" and "at least one round" with four segments in flight.
func (b *bbr) probeRTT(s *sender, now int64) {
	s.rate.limited = max(s.rate.delivered+s.inFlight(), 1) // "Ignore low rate samples during ProbeRTT"
	switch {
	case b.doneAt == 0:
		if s.inFlight() <= bbrMinCwnd {
			b.doneAt, b.roundDone = now+bbrProbeTime, false
			b.nextRound = s.rate.delivered
		}
	default:
		b.roundDone = b.roundDone || b.newRound
		if b.roundDone {
			b.checkProbeRTTDone(s, now)
		}
	}
}

func (b *bbr) checkProbeRTTDone(s *sender, now int64) {
	if b.doneAt == 0 || now <= b.doneAt {
		return
	}
	b.rttAt = now // "schedule next ProbeRTT"
	s.cwnd = max(s.cwnd, b.prior)
	if b.full {
		b.enterProbeBW(s, now)
	} else {
		b.mode = bbrStartup
	}
}

// restart is "HandleRestartFromIdle": "if (C.inflight == 0 && C.app_limited) BBR.idle_restart = true [...] if
// (IsInAProbeBWState()) SetPacingRateWithGain(1); else if (BBR.state == ProbeRTT) CheckProbeRTTDone()".
func (b *bbr) restart(s *sender, now int64) {
	if s.rate.limited == 0 {
		return
	}
	b.idle = true
	b.agg.since, b.agg.acked = now, 0
	switch b.mode {
	case bbrProbeBW:
		b.setRate(s, 1)
	case bbrProbeRTT:
		b.checkProbeRTTDone(s, now)
	}
}

// extra is by how much the window is larger for what arrives acknowledged at once; Startup's window is large enough.
func (b *bbr) extra() uint32 {
	if !b.full {
		return 0
	}
	return b.agg.extra(b.bw.get())
}

// maxFilter is the largest sample of the last bbrBWRounds round trips: the best of the whole window and of its later
// parts, like minFilter.
type maxFilter struct {
	t [3]uint32
	v [3]float64
}

func (f *maxFilter) get() float64 { return f.v[0] }

func (f *maxFilter) add(t uint32, v float64) {
	if v >= f.v[0] || t-f.t[2] > bbrBWRounds {
		f.t, f.v = [3]uint32{t, t, t}, [3]float64{v, v, v}
		return
	}
	if v >= f.v[1] {
		f.t[1], f.v[1], f.t[2], f.v[2] = t, v, t, v
	} else if v >= f.v[2] {
		f.t[2], f.v[2] = t, v
	}
	switch dt := t - f.t[0]; {
	case dt > bbrBWRounds:
		f.shift(t, v)
		if t-f.t[0] > bbrBWRounds {
			f.shift(t, v)
		}
	case f.t[1] == f.t[0] && dt > bbrBWRounds/4:
		f.t[1], f.v[1], f.t[2], f.v[2] = t, v, t, v
	case f.t[2] == f.t[1] && dt > bbrBWRounds/2:
		f.t[2], f.v[2] = t, v
	}
}

func (f *maxFilter) shift(t uint32, v float64) {
	f.t, f.v = [3]uint32{f.t[1], f.t[2], t}, [3]float64{f.v[1], f.v[2], v}
}

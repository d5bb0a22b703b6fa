package tcp

import "math"

// bbr is BBR, draft-ietf-ccwg-bbr: rate and window follow a model of the path, its bandwidth (the most that was
// delivered in ten round trips) and its delay (the least round trip of ten seconds), not losses.
//
//	Startup ---> Drain ---> ProbeBW <---> ProbeRTT
//	   ^_______________________________________|
//
// Where versions differ this is version 1, as Linux' tcp_bbr: the gain cycle of ProbeBW, no reaction to loss beside one
// round trip of packet conservation, four segments in ProbeRTT every ten seconds. Flows of it are what ours most often
// shares a link with; the draft's version 3, which is bbr3 here, yields to them. Windows are segments, rates segments a
// second.
type bbr struct {
	bw      maxFilter // BBR.max_bw
	minRTT  int64     // BBR.min_rtt, 0 unknown
	rttAt   int64     // BBR.min_rtt_stamp
	doneAt  int64     // BBR.probe_rtt_done_stamp, 0 none
	cycleAt int64     // when the present phase of ProbeBW began
	fullBW  float64   // BBR.full_bw
	agg     aggregation

	nextRound uint32 // BBR.next_round_delivered
	rounds    uint32 // BBR.round_count
	prior     uint32 // BBR.prior_cwnd

	mode      bbrMode
	cycle     uint8   // index of the present phase in bbrCycle
	fullCount uint8   // BBR.full_bw_count
	prev      caState // congestion state at the ACK before

	newRound  bool // BBR.round_start
	full      bool // BBR.full_bw_reached
	idle      bool // BBR.idle_restart
	conserve  bool // send one for one that arrives
	roundDone bool // BBR.probe_rtt_round_done
	seenRTT   bool // the pacing rate began with a real round trip
}

type bbrMode uint8

const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrProbeBW
	bbrProbeRTT
)

const (
	bbrHighGain  = 2.885 // 2/ln 2: the least that doubles each round (the draft derives 2.77)
	bbrCwndGain  = 2     // "BBR.DefaultCwndGain (2)"
	bbrMargin    = 0.99  // "BBR.PacingMarginPercent = 1"
	bbrBWRounds  = 10    // length of the bandwidth filter
	bbrRTTWindow = 10e9  // "BBR.MinRTTFilterLen = 10 secs"
	bbrProbeTime = 200e6 // "BBR.ProbeRTTDuration = 200 ms"
	bbrMinCwnd   = 4     // "BBR.MinPipeCwnd (4 packets)"
	bbrGrowth    = 1.25  // "little increase (less than 25 percent)" means that the pipe is full
	bbrFullCount = 3     // "three non-application-limited rounds"
)

// bbrCycle are the pacing gains of ProbeBW, a phase of one min_rtt each: probe, drain what that queued, cruise.
var bbrCycle = [8]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

func (*bbr) name() string { return "bbr" }

// gains are BBR.pacing_gain and BBR.cwnd_gain of the present state.
func (b *bbr) gains() (pacing, window float64) {
	switch b.mode {
	case bbrStartup:
		return bbrHighGain, bbrHighGain
	case bbrDrain:
		return 1 / bbrHighGain, bbrHighGain
	case bbrProbeBW:
		return bbrCycle[b.cycle], bbrCwndGain
	}
	return 1, 1
}

// reduce: loss is no reason. "SaveCwnd()" on entering recovery or a timeout.
func (b *bbr) reduce(s *sender, now int64, why ccEvent) uint32 {
	b.save(s)
	return s.ssthresh
}

// grow is never called: sample sets the window.
func (*bbr) grow(*sender, int64, uint32) {}

func (*bbr) lost(*sender, int64, *txRec) {}

// sample is "on every ACK": the model, the states, then rate and window.
func (b *bbr) sample(s *sender, now int64, r ackSample) {
	b.updateBW(s, &r)
	b.agg.update(s, b.bw.get(), aggRounds, b.newRound, &r)
	b.updateCycle(s, now, &r)
	b.checkFull(&r)
	b.checkDrain(s, now)
	b.updateMinRTT(s, now, &r)
	pacing, window := b.gains()
	b.setRate(s, pacing)
	b.setWindow(s, window, &r)
}

func (b *bbr) event(s *sender, now int64, ev ccEvent) {
	switch ev {
	case ccStart:
		b.start(s, now)
	case ccSend:
		b.restart(s, now)
	case ccTimeout:
		b.prev, b.fullBW, b.newRound = caLoss, 0, true
	case ccUndo: // the bandwidth may be higher than the plateau that the mistake made
		b.fullBW, b.fullCount = 0, 0
	}
}

// start is "BBROnInit".
func (b *bbr) start(s *sender, now int64) {
	*b = bbr{rttAt: now, minRTT: s.rtt.min.get(), prev: s.state, nextRound: s.rate.delivered}
	b.agg.since = now
	s.ssthresh = infinite
	b.seenRTT = s.startRate(bbrHighGain)
}

// startRate: "nominal_bandwidth = C.InitialCwnd / (C.srtt ? C.srtt : 1ms); C.pacing_rate = BBR.StartupPacingGain *
// nominal_bandwidth". It says whether there was a round trip already.
func (s *sender) startRate(gain float64) (seen bool) {
	rtt := int64(1e6)
	if s.rtt.srtt != 0 {
		rtt, seen = s.rtt.srtt, true
	}
	s.pace.set(s.rateOf(gain * bbrMargin * float64(s.cwnd) * 1e9 / float64(rtt)))
	return seen
}

// setRate: "rate = pacing_gain * bw * (100 - BBR.PacingMarginPercent) / 100; if (BBR.full_bw_reached || rate >
// C.pacing_rate) C.pacing_rate = rate".
func (b *bbr) setRate(s *sender, gain float64) {
	if !b.seenRTT && s.rtt.srtt != 0 {
		b.seenRTT = s.startRate(bbrHighGain)
	}
	if rate := s.rateOf(gain * bbrMargin * b.bw.get()); b.full || rate > s.pace.rate {
		s.pace.set(rate)
	}
}

// rateOf turns segments a second into bytes a second.
func (s *sender) rateOf(segs float64) int64 { return max(int64(segs*float64(s.mss)), 1) }

// bdp is "BDPMultiple(gain)": "if (BBR.min_rtt == Infinity) return C.InitialCwnd".
func (b *bbr) bdp(gain float64) uint32 {
	if b.minRTT == 0 {
		return initialWindow
	}
	return uint32(math.Ceil(gain * b.bw.get() * float64(b.minRTT) / 1e9))
}

// budget is "QuantizationBudget": room for "1 quantum in the sending host's queuing discipline layer, 1 quantum
// being segmented in the sending host TSO/GSO engine, 1 quantum being reassembled or otherwise remaining unacknowledged
// due to the receiver host's LRO/GRO/delayed-ACK engine", added as in version 1.
func (b *bbr) budget(s *sender, w uint32) uint32 {
	w += 3 * uint32(s.quantum())
	w = (w + 1) &^ 1 // delayed ACKs come for two
	if b.mode == bbrProbeBW && b.cycle == 0 {
		w += 2 // "if (BBR.state == ProbeBW_UP) inflight_cap += 2*C.SMSS"
	}
	return w
}

// setWindow: "if (BBR.full_bw_reached) C.cwnd = min(C.cwnd + RS.newly_acked, BBR.max_inflight); else if (C.cwnd <
// BBR.max_inflight || C.delivered < C.InitialCwnd) C.cwnd = C.cwnd + RS.newly_acked".
func (b *bbr) setWindow(s *sender, gain float64, r *ackSample) {
	if r.acked > 0 && !b.inRecovery(s, r) {
		target := b.budget(s, b.bdp(gain)+b.extra())
		if b.full {
			s.cwnd = min(s.cwnd+r.acked, target)
		} else if s.cwnd < target || s.rate.delivered < initialWindow {
			s.cwnd += r.acked
		}
		s.cwnd = max(s.cwnd, bbrMinCwnd)
	}
	s.cwnd = min(s.cwnd, s.clamp)
	if b.mode == bbrProbeRTT {
		s.cwnd = min(s.cwnd, bbrMinCwnd)
	}
}

// inRecovery modulates the window while losses are repaired: for one round trip one segment leaves for each that
// arrived; at the end "RestoreCwnd(): C.cwnd = max(C.cwnd, BBR.prior_cwnd)". True: nothing else moves the window now.
func (b *bbr) inRecovery(s *sender, r *ackSample) bool {
	if r.lost > 0 {
		s.cwnd = max(s.cwnd, r.lost+1) - r.lost
	}
	was := b.prev
	b.prev = s.state
	switch {
	case s.state == caRecovery && was != caRecovery:
		b.conserve, b.nextRound = true, s.rate.delivered
		s.cwnd = s.inFlight() + r.acked
	case was >= caRecovery && s.state < caRecovery:
		s.cwnd, b.conserve = max(s.cwnd, b.prior), false
	}
	if b.conserve {
		s.cwnd = max(s.cwnd, s.inFlight()+r.acked)
	}
	return b.conserve
}

// save is "SaveCwnd()": the last window that neither recovery nor ProbeRTT had cut.
func (b *bbr) save(s *sender) {
	if b.prev < caRecovery && b.mode != bbrProbeRTT {
		b.prior = s.cwnd
	} else {
		b.prior = max(b.prior, s.cwnd)
	}
}

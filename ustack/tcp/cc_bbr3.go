package tcp

import "math"

// bbr3 is BBR version 3, draft-ietf-ccwg-bbr-06, whose names the comments give:
//
//	Startup ---> Drain ---> ProbeBW: DOWN ---> CRUISE ---> REFILL ---> UP        ProbeRTT, from and back to any of them
//	                                  ^_________________________________|
//
// Beside version 1's bandwidth and delay the model has bounds, which losses and marks teach: the long-term one, what may
// be in flight when the path is probed, and the short-term ones, what the path delivers now. The rules are in files by
// subject: cc_bbr3_cycle.go the states of ProbeBW, cc_bbr3_loss.go what losses teach, cc_bbr3_model.go bandwidth and
// rounds, cc_bbr3_rtt.go the delay, cc_bbr3_control.go rate and window. Windows are segments, rates segments a second.
type bbr3 struct {
	maxBW    [2]float64 // BBR.max_bw_filter: the largest of the cycle before, and of the present one
	shortBW  float64    // BBR.bw_shortterm
	latestBW float64    // BBR.bw_latest
	undoBW   float64    // BBR.undo_bw_shortterm
	fullBW   float64    // BBR.full_bw

	minRTT   int64 // BBR.min_rtt, 0 unknown
	minAt    int64 // BBR.min_rtt_stamp
	probeRTT int64 // BBR.probe_rtt_min_delay, 0 unknown
	probeAt  int64 // BBR.probe_rtt_min_stamp
	doneAt   int64 // BBR.probe_rtt_done_stamp, 0 none
	cycleAt  int64 // BBR.cycle_stamp
	wait     int64 // BBR.bw_probe_wait

	agg aggregation

	rounds     uint32 // BBR.round_count
	nextRound  uint32 // BBR.next_round_delivered
	lossRound  uint32 // BBR.loss_round_delivered
	drainRound uint32 // BBR.drain_start_round
	sinceUp    uint32 // BBR.rounds_since_probe_up
	latest     uint32 // BBR.inflight_latest
	short      uint32 // BBR.inflight_shortterm
	long       uint32 // BBR.inflight_longterm
	undoShort  uint32 // BBR.undo_inflight_shortterm
	undoLong   uint32 // BBR.undo_inflight_longterm
	prior      uint32 // BBR.prior_cwnd
	upAcked    uint32 // BBR.bw_probe_up_acked
	upEach     uint32 // BBR.probe_up_acked_per_inc
	random     uint32
	lossEnd    Seq // end of the segment that was lost last

	state     bbr3State
	undoState bbr3State // BBR.undo_state, Drain for none
	phase     bbr3Phase // BBR.ack_phase
	prev      caState   // congestion state at the ACK before
	upRounds  uint8     // BBR.bw_probe_up_rounds
	fullCount uint8     // BBR.full_bw_count
	ranges    uint8     // "discontiguous sequence ranges lost in that round trip"

	newRound     bool // BBR.round_start
	newLossRound bool // BBR.loss_round_start
	lossInRound  bool // BBR.is_loss_in_round
	full         bool // BBR.full_bw_reached
	fullNow      bool // BBR.full_bw_now
	idle         bool // BBR.idle_restart
	probing      bool // BBR.is_bw_probe_sample
	tooHigh      bool // BBR.prev_probe_too_high
	careful      bool // BBR.prev_probe_precautionary
	expired      bool // BBR.probe_rtt_expired
	roundDone    bool // BBR.probe_rtt_round_done
	seenRTT      bool // the pacing rate began with a real round trip
	saved        bool // the undo state is that of the present episode
}

type bbr3State uint8

const (
	bbr3Startup bbr3State = iota
	bbr3Drain
	bbr3Down
	bbr3Cruise
	bbr3Refill
	bbr3Up
	bbr3ProbeRTT
)

// bbr3Gains are BBR.pacing_gain and BBR.cwnd_gain of each state, the table of "Summary of Control Behavior in the State
// Machine".
var bbr3Gains = [...]struct{ pacing, window float64 }{
	bbr3Startup: {2.77, 2}, bbr3Drain: {0.5, 2}, bbr3Down: {0.9, 2}, bbr3Cruise: {1, 2}, bbr3Refill: {1, 2}, bbr3Up: {1.25, 2.25},
	bbr3ProbeRTT: {1, 0.5},
}

const (
	bbr3LossThresh = 0.02 // "BBR.LossThresh: [...] the maximum tolerated per-round-trip packet loss rate when probing for bandwidth (the default is 2%)"
	bbr3Beta       = 0.7  // "BBR.Beta: [...] (the value is 0.7)"
	bbr3Headroom   = 0.15 // "BBR.Headroom: [...] (the value is 0.15)"
	bbr3LossRanges = 6    // "at least BBRStartupFullLossCnt=6 discontiguous sequence ranges"
	bbr3DrainMost  = 3    // "BBR enters ProbeBW after 3 round trips"
)

func (*bbr3) name() string { return "bbr3" }

// grow is never called: sample sets the window.
func (*bbr3) grow(*sender, int64, uint32) {}

// reduce is "OnEnterFastRecovery(): SaveCwnd(), SaveStateUponLoss()" and the same of "OnEnterRTO()"; the window of the
// timeout is the sender's.
func (b *bbr3) reduce(s *sender, now int64, why ccEvent) uint32 {
	if why == ccECN {
		b.marked(s, now)
		return s.ssthresh
	}
	b.saveCwnd(s)
	b.saveState()
	return s.ssthresh
}

func (b *bbr3) event(s *sender, now int64, ev ccEvent) {
	switch ev {
	case ccStart:
		b.start(s, now)
	case ccSend:
		b.restart(s, now)
	case ccUndo:
		b.spurious(s)
	}
}

// start is "OnInit()"; BBR.min_rtt begins with the least round trip that was seen, as Linux, not with C.srtt.
func (b *bbr3) start(s *sender, now int64) {
	least := s.rtt.min.get()
	if s.rtt.srtt == 0 {
		least = 0
	}
	*b = bbr3{minRTT: least, minAt: now, probeRTT: least, probeAt: now, long: infinite, upEach: infinite, undoState: bbr3Drain,
		nextRound: s.rate.delivered, lossRound: s.rate.delivered, random: uint32(s.iss) ^ uint32(now>>10) | 1, prev: s.state}
	b.agg.since = now
	b.resetShort()
	s.ssthresh = infinite
	b.seenRTT = s.startRate(bbr3Gains[bbr3Startup].pacing)
}

// sample is "UpdateOnACK()".
func (b *bbr3) sample(s *sender, now int64, r ackSample) {
	b.updateLatest(s, &r)
	b.updateCongestion(s, &r)
	b.agg.update(s, b.bw(), b.aggWindow(), b.newRound, &r)
	b.checkFull(&r)
	b.checkStartupDone(s, &r)
	b.checkDrainDone(s, now)
	b.updateCycle(s, now, &r)
	b.updateMinRTT(now, &r)
	b.checkProbeRTT(s, now, &r)
	b.advanceLatest(&r)
	b.leaveRecovery(s)
	b.setRate(s, bbr3Gains[b.state].pacing)
	b.setWindow(s, &r)
}

// checkFull is "CheckFullBWReached()": "if BBR counts several (three) non-application-limited rounds where attempts to
// significantly increase the delivery rate actually result in little increase (less than 25 percent), then it estimates
// that it has fully utilized the per-flow available bandwidth".
func (b *bbr3) checkFull(r *ackSample) {
	if b.fullNow || !b.newRound || r.limited {
		return
	}
	if r.rate() >= b.fullBW*bbrGrowth {
		b.resetFull(r.rate())
		return
	}
	b.fullCount++
	b.fullNow = b.fullCount >= bbrFullCount
	b.full = b.full || b.fullNow
}

// resetFull is "ResetFullBW()" with a new baseline.
func (b *bbr3) resetFull(bw float64) { b.fullBW, b.fullCount, b.fullNow = bw, 0, false }

// checkStartupDone is "CheckStartupDone()".
func (b *bbr3) checkStartupDone(s *sender, r *ackSample) {
	b.checkHighLoss(s, r)
	if b.state == bbr3Startup && b.full {
		b.state, b.drainRound = bbr3Drain, b.rounds
		s.ssthresh = max(b.inflight(s, b.bw(), 1), 2)
	}
}

// checkDrainDone is "CheckDrainDone(): if (BBR.state == Drain && (C.inflight <= Inflight(1.0) || BBR.round_count >
// BBR.drain_start_round + 3)) EnterProbeBW()".
func (b *bbr3) checkDrainDone(s *sender, now int64) {
	if b.state == bbr3Drain && (s.inFlight() <= b.inflight(s, b.bw(), 1) || b.rounds > b.drainRound+bbr3DrainMost) {
		b.startDown(s, now)
	}
}

// rand is a number for what the draft chooses by chance (xorshift, begun from the connection's first number and time).
func (b *bbr3) rand() uint32 {
	b.random ^= b.random << 13
	b.random ^= b.random >> 17
	b.random ^= b.random << 5
	return b.random
}

// rate is RS.delivery_rate, 0 if the ACK gave no reliable one.
func (r *ackSample) rate() float64 {
	if r.interval <= 0 {
		return 0
	}
	return float64(r.delivered) * 1e9 / float64(r.interval)
}

var noBound = math.Inf(1)

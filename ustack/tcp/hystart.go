package tcp

// hystart is HyStart++, RFC 9406: slow start ends when the round-trip time rises, by way of a phase of slower growth
// ("conservative slow start") that finds out whether the rise was noise. One deviation: growth per ACK is not limited to
// L = 8 segments, because Linux peers acknowledge up to 64 KiB at once.
type hystart struct {
	end      Seq    // windowEnd
	last     uint32 // lastRoundMinRTT in ns, 0 infinite
	cur      uint32 // currentRoundMinRTT, 0 infinite
	baseline uint32 // cssBaselineMinRtt
	count    uint8  // rttSampleCount
	rounds   uint8  // rounds of CSS so far
	css      bool
	off      bool   // slow start was left: ssthresh is known
	rest     uint32 // of the division by the growth divisor
}

// Constants of RFC 9406 §4.3.
const (
	hyMinThresh  = 4e6
	hyMaxThresh  = 16e6
	hyDivisor    = 8
	hySamples    = 8
	hyCSSDivisor = 4
	hyCSSRounds  = 5
)

// start: "lastRoundMinRTT and currentRoundMinRTT are initialized to infinity at the initialization time"; "An
// implementation MAY use HyStart++ to grow the restart window [...] after a long idle period".
func (h *hystart) start(s *sender) { *h = hystart{end: s.nxt} }

// stop: "An implementation SHOULD use HyStart++ only for the initial slow start (when the ssthresh is at its initial
// value of arbitrarily high [...]) and fall back to using standard slow start for the remainder of the connection
// lifetime." §4.3
func (h *hystart) stop() { *h = hystart{off: true} }

// round: "At the start of each round during standard slow start and CSS [...]: lastRoundMinRTT = currentRoundMinRTT;
// currentRoundMinRTT = infinity; rttSampleCount = 0"; "When windowEnd is ACKed, the current round ends, and windowEnd is
// set to SND.NXT." §4.2
func (h *hystart) round(s *sender) {
	if s.una.LT(h.end) {
		return
	}
	h.end = s.nxt
	h.last, h.cur, h.count = h.cur, 0, 0
	if !h.css {
		return
	}
	// "CSS lasts at most CSS_ROUNDS rounds. If the transition into CSS happens in the middle of a round, that partial round
	// counts towards the limit. [...] If CSS_ROUNDS rounds are complete, enter congestion avoidance by setting the ssthresh
	// to the current cwnd: ssthresh = cwnd" §4.2
	if h.rounds++; h.rounds >= hyCSSRounds {
		s.ssthresh = s.cwnd
		s.mem.Stats.HystartDelay++
		s.mem.Stats.HystartDelayCwnd += uint64(s.cwnd)
		h.stop()
	}
}

// sample: "For each arriving ACK [...] keep track of the minimum observed RTT: currentRoundMinRTT =
// min(currentRoundMinRTT, currRTT); rttSampleCount += 1. For rounds where at least N_RTT_SAMPLE RTT samples have been
// obtained and currentRoundMinRTT and lastRoundMinRTT are valid, check to see if delay increase triggers slow start exit"
// §4.2
func (h *hystart) sample(s *sender, ns int64) {
	rtt := uint32(min(ns, 4e9))
	if h.cur == 0 || rtt < h.cur {
		h.cur = rtt
	}
	if h.count < 255 {
		h.count++
	}
	if h.count < hySamples || h.last == 0 {
		return
	}
	if h.css {
		// "if (currentRoundMinRTT < cssBaselineMinRtt) cssBaselineMinRtt = infinity, resume slow start" §4.2
		if h.cur < h.baseline {
			h.css, h.baseline = false, 0
		}
		return
	}
	// "RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH)); if (currentRoundMinRTT >=
	// (lastRoundMinRTT + RttThresh)) cssBaselineMinRtt = currentRoundMinRTT; exit slow start and enter CSS" §4.2
	if h.cur >= h.last+max(hyMinThresh, min(h.last/hyDivisor, hyMaxThresh)) {
		h.css, h.baseline, h.rounds, h.rest = true, h.cur, 0, 0
	}
}

// slower divides the growth: "cwnd = cwnd + (min(N, L * SMSS) / CSS_GROWTH_DIVISOR)".
func (h *hystart) slower(n uint32) uint32 {
	n += h.rest
	h.rest = n % hyCSSDivisor
	return n / hyCSSDivisor
}

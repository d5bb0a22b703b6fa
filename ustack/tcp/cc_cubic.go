package tcp

import "math"

// cubic is CUBIC, RFC 9438: after a reduction the window grows along a cubic curve that is flat near the size at which
// the last loss happened.
//
//	W_cubic(t) = C*(t-K)^3 + W_max     K = cbrt((W_max - cwnd_epoch) / C)
//
// Windows are segments, times seconds.
type cubic struct {
	cubicCurve
	saved    cubicCurve // before the last reduction
	prior    uint32     // cwnd_prior, that before the reduction: from there on W_est grows as Reno does
	undo     uint32     // cwnd_prior of saved
	credit   float64    // fraction of a segment that cwnd is to grow by
	lastAck  int64      // up to when time was counted
	target   float64    // where the curve leads
	targetAt int64      // when that was computed
	rises    bool       // it was above cwnd then
	hystart  hystart
}

// cubicCurve is the curve that a reduction begins and an undo restores.
type cubicCurve struct {
	wMax   float64 // W_max
	k      float64 // K
	origin float64 // the curve's plateau: W_max, or cwnd when it is above
	wEst   float64 // what an AIMD flow of the same average would have, W_est
	epoch  int64   // when the present growth began, 0: at the next ACK
}

const (
	cubicC    = 0.4 // "C SHOULD be set to 0.4" RFC 9438 §5.1
	cubicBeta = 0.7 // "beta_cubic SHOULD be set to 0.7" §4.6
	// "alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic)" §4.3
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
	// ABE: beta_{ecn} of 0.85 for CUBIC, RFC 8511 §3.1
	cubicBetaECN = 0.85

	cubicTick = 1e6 // as a kernel of 1,000 Hz has it; Debian's has 250
)

func (*cubic) name() string { return "cubic" }

// reduce: "ssthresh = flight_size * beta_cubic [...]; cwnd_prior = cwnd; [...] ssthresh = max(ssthresh, 2)" §4.6, from
// cwnd as Linux does: "Implementations that use cwnd MUST use other measures to prevent cwnd from growing when the volume
// of bytes in flight is smaller than cwnd", which is cwv. Fast convergence: "W_max = cwnd * (1 + beta_cubic) / 2 if cwnd <
// W_max [...], cwnd otherwise" §4.7. Against §4.6 cwnd does not fall below 2 for ECN either, as Linux.
func (c *cubic) reduce(s *sender, now int64, why ccEvent) uint32 {
	c.saved, c.undo = c.cubicCurve, c.prior
	w := float64(s.cwnd)
	c.prior = s.cwnd
	if w < c.wMax {
		c.wMax = w * (1 + cubicBeta) / 2
	} else {
		c.wMax = w
	}
	c.epoch = 0
	if why == ccECN {
		return max(uint32(w*cubicBetaECN), 2)
	}
	return max(uint32(w*cubicBeta), 2)
}

func (c *cubic) grow(s *sender, now int64, n uint32) {
	if s.cwnd < s.ssthresh {
		if c.hystart.css {
			n = c.hystart.slower(n)
		}
		if n = s.slowStart(n); n == 0 {
			return
		}
	}
	c.avoid(s, now, float64(n))
}

// avoid is congestion avoidance for n acknowledged segments.
func (c *cubic) avoid(s *sender, now int64, n float64) {
	w := float64(s.cwnd)
	if c.epoch == 0 {
		c.begin(now, w)
	}
	// "W_est = W_est + alpha_cubic * segments_acked / cwnd"; "Once [...] W_est >= cwnd_prior, the sender SHOULD set
	// alpha_cubic to 1" §4.3
	alpha := float64(cubicAlpha)
	if c.wEst >= float64(c.prior) {
		alpha = 1
	}
	c.wEst += alpha * n / w
	step := c.rise(s, now, w) * n / w // "cwnd MUST be incremented by (target - cwnd) / cwnd for each received new ACK" §4.4, §4.5
	// "CUBIC checks whether W_cubic(t) is less than W_est. If so, [...] cwnd SHOULD be set to W_est" §4.3
	if c.curve(float64(now-c.epoch)/1e9) < c.wEst && c.wEst > w+step {
		step = c.wEst - w // the Reno-friendly region
	}
	c.credit += step
	if inc := math.Floor(c.credit); inc >= 1 {
		// as in Linux, never more than half a segment for each acknowledged one
		s.cwnd = min(s.cwnd+uint32(min(inc, max(n/2, 1))), s.clamp)
		c.credit = min(c.credit-inc, 1)
	}
}

// begin starts the curve at the present window: "K = cbrt((W_max - cwnd_epoch) / C)" §4.2, and when no loss ended slow
// start "K is set to 0, and W_max is set to the congestion window size at the beginning of the current congestion
// avoidance stage" §4.10. "W_est is set equal to cwnd_epoch" §4.3.
func (c *cubic) begin(now int64, w float64) {
	c.epoch, c.wEst, c.credit, c.targetAt = now, w, 0, now-cubicTick
	if w < c.wMax {
		c.k, c.origin = math.Cbrt((c.wMax-w)/cubicC), c.wMax
	} else {
		c.k, c.origin = 0, w
	}
}

// rise is target - cwnd: "target = cwnd if W_cubic(t + RTT) < cwnd, 1.5 * cwnd if W_cubic(t + RTT) > 1.5 * cwnd, W_cubic(t + RTT)
// otherwise" §4.2.
//
// Over a path shorter than a tick of the kernel's clock it is as in Linux: there the curve is one of whole segments, looked at once a tick, so that a
// small window grows by a segment or more each round trip (here by one), where the exact curve has hardly begun and W_est gives half of one.
// Losses that come by chance every few round trips leave nothing else to stand on: at 5 % the kernel's window is 8 segments on average; an exact one
// is too small to recover from many of them without a timeout, which costs such a path 200 ms.
func (c *cubic) rise(s *sender, now int64, w float64) float64 {
	t := float64(now-c.epoch+s.rtt.srtt) / 1e9
	if s.rtt.srtt >= cubicTick {
		return min(max(c.curve(t), w), 1.5*w) - w
	}
	if now-c.targetAt >= cubicTick {
		c.targetAt, c.target = now, min(c.origin+math.Trunc(c.curve(t)-c.origin), 1.5*w)
		c.rises = c.target > w
	}
	if !c.rises {
		return 0
	}
	return max(c.target-w, 1)
}

func (c *cubic) curve(t float64) float64 {
	d := t - c.k
	return c.origin + float64(cubicC*d)*float64(d*d)
}

func (c *cubic) sample(s *sender, now int64, r ackSample) {
	c.passed(now, !s.cwndLimited())
	if s.cwnd < s.ssthresh && !c.hystart.off {
		c.hystart.round(s)
		if r.rtt > 0 {
			c.hystart.sample(s, r.rtt)
		}
	}
}

// passed counts time: "The elapsed time t [...] MUST NOT include periods during which cwnd has not been updated due to
// application-limited behavior" §4.2.
func (c *cubic) passed(now int64, idle bool) {
	if idle && c.epoch != 0 {
		c.epoch += now - c.lastAck
	}
	c.lastAck = now
}

func (c *cubic) event(s *sender, now int64, ev ccEvent) {
	switch ev {
	case ccStart:
		c.hystart.start(s)
		c.lastAck = now
	case ccLoss, ccECN:
		c.hystart.stop()
	case ccTimeout:
		// "During the first congestion avoidance stage after a timeout, [...] K is set to 0, and W_max is set to the
		// congestion window size at the beginning of the current congestion avoidance stage" §4.8
		c.epoch, c.wMax = 0, 0
		c.hystart.stop()
	case ccRestart:
		c.hystart.start(s)
	case ccSend:
		c.passed(now, true)
	case ccUndo:
		if s.cwnd >= c.prior { // "CUBIC SHOULD continue to use the current [...] values" §4.9.2
			return
		}
		if s.undo.ssthresh >= infinite {
			c.hystart.start(s) // the initial slow start goes on
		}
		// "W_max = undo_W_max, K = undo_K, t_epoch = undo_t_epoch, W_est = undo_W_est" §4.9.2
		c.cubicCurve, c.prior = c.saved, c.undo
	}
}

func (*cubic) lost(*sender, int64, *txRec) {}

package tcp

import "math"

// cubic is CUBIC, RFC 9438: after a reduction the window grows along a cubic curve that is flat near the size at which
// the last loss happened.
//
//	W_cubic(t) = C*(t-K)^3 + W_max     K = cbrt((W_max - cwnd_epoch) / C)
//
// Windows are segments, times seconds.
type cubic struct {
	wMax    float64 // W_max
	k       float64 // K
	origin  float64 // the curve's plateau: W_max, or cwnd when it is above
	epoch   int64   // when the present growth began, 0: at the next ACK
	wEst    float64 // what an AIMD flow of the same average would have, W_est
	prior   float64 // cwnd before the reduction: from there on W_est grows as Reno does
	credit  float64 // fraction of a segment that cwnd is to grow by
	saved   cubicSaved
	lastTx  int64
	hystart hystart
}

type cubicSaved struct {
	wMax, k, origin, wEst, prior float64
	epoch                        int64
}

const (
	cubicC    = 0.4 // "C SHOULD be set to 0.4" RFC 9438 §5.1
	cubicBeta = 0.7 // "beta_cubic SHOULD be set to 0.7" §4.6
	// "alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic)" §4.3
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
	// ABE: "beta_{ecn} = 0.85 for CUBIC" RFC 8511 §4.1
	cubicBetaECN = 0.85
)

func (*cubic) name() string { return "cubic" }

// reduce: "ssthresh = flight_size * beta_cubic; cwnd = max(ssthresh, 2)" §4.6, from cwnd as Linux does, and fast
// convergence: "if (cwnd < W_max) W_max = cwnd * (1 + beta_cubic) / 2; else W_max = cwnd" §4.7.
func (c *cubic) reduce(s *sender, now int64, why ccEvent) uint32 {
	c.saved = cubicSaved{c.wMax, c.k, c.origin, c.wEst, c.prior, c.epoch}
	w := float64(s.cwnd)
	c.prior = w
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
		c.hystart.round(s)
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
	// "W_est = W_est + alpha_cubic * (segments_acked / cwnd)", alpha = 1 once W_est reached cwnd_prior. §4.3
	alpha := float64(cubicAlpha)
	if c.wEst >= c.prior {
		alpha = 1
	}
	c.wEst += alpha * n / w
	// "target = W_cubic(t + RTT), [...] at least cwnd and at most 1.5 * cwnd" §4.2
	t := float64(now-c.epoch+s.rtt.srtt) / 1e9
	target := min(max(c.curve(t), w), 1.5*w)
	step := (target - w) * n / w // "cwnd incremented by (target - cwnd) / cwnd for each ACK" §4.4, §4.5
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

// begin starts the curve at the present window.
func (c *cubic) begin(now int64, w float64) {
	c.epoch, c.wEst, c.credit = now, w, 0
	if w < c.wMax {
		c.k, c.origin = math.Cbrt((c.wMax-w)/cubicC), c.wMax
	} else {
		c.k, c.origin = 0, w
	}
}

func (c *cubic) curve(t float64) float64 {
	d := t - c.k
	return c.origin + float64(cubicC*d)*float64(d*d)
}

func (c *cubic) sample(s *sender, now int64, r ackSample) {
	c.lastTx = now
	if r.rtt > 0 && s.cwnd < s.ssthresh {
		c.hystart.sample(s, r.rtt)
	}
}

func (c *cubic) event(s *sender, now int64, ev ccEvent) {
	switch ev {
	case ccStart:
		c.hystart.start(s)
	case ccTimeout: // "[after] a timeout [...] CUBIC [...] W_max [is set] by slow start" §4.8; RFC 9406 §4.2 starts anew
		c.epoch = 0
		c.hystart.start(s)
	case ccRestart:
		// time without data must not count: "the elapsed time [...] MUST NOT include [application-limited] periods" §4.2
		if c.epoch != 0 {
			c.epoch += now - s.lastSent
		}
	case ccUndo: // "the sender SHOULD restore [...] cwnd, ssthresh, W_max, K, epoch" §4.9
		v := c.saved
		c.wMax, c.k, c.origin, c.wEst, c.prior, c.epoch = v.wMax, v.k, v.origin, v.wEst, v.prior, v.epoch
	}
}

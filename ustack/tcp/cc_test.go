package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 9438 §4.1: W_cubic(t) = C*(t-K)^3 + W_max, K = cbrt(W_max*(1-beta)/C). With W_max = 100 segments the window falls to
// 70 and K = cbrt(75) = 4.217 s.
func TestCubicCurve(t *testing.T) {
	c := cubic{cubicCurve: cubicCurve{wMax: 100}}
	c.begin(0, 70)
	require.InDelta(t, 4.2172, c.k, 1e-4)
	for _, p := range [][2]float64{{0, 70}, {1, 86.6808}, {2, 95.6402}, {3, 99.2787}, {4.2172, 100}, {5, 100.1919}, {8, 121.6527}} {
		require.InDelta(t, p[1], c.curve(p[0]), 1e-3, "t = %v s", p[0])
	}
	c = cubic{cubicCurve: cubicCurve{wMax: 50}}
	c.begin(0, 80)
	require.Zero(t, c.k, "above W_max the curve starts at its plateau")
	require.InDelta(t, 80, c.curve(0), 1e-9)
}

func TestCubicReduces(t *testing.T) {
	r := newSendRig(t, 1000)
	c := r.s.cc.(*cubic)
	r.cwnd(100)
	require.EqualValues(t, 70, c.reduce(&r.s, r.now, ccLoss), "beta 0.7")
	require.EqualValues(t, 100, c.wMax)
	r.cwnd(80)
	require.EqualValues(t, 56, c.reduce(&r.s, r.now, ccLoss))
	require.InDelta(t, 68, c.wMax, 1e-9, "fast convergence: 80 * (1 + 0.7) / 2")
	r.cwnd(100)
	require.EqualValues(t, 85, c.reduce(&r.s, r.now, ccECN), "ABE, RFC 8511")
	r.cwnd(2)
	require.EqualValues(t, 2, c.reduce(&r.s, r.now, ccLoss))
	c.event(&r.s, r.now, ccUndo)
	require.InDelta(t, 1.7, c.wMax, 1e-9, "cwnd is no lower than it was: nothing to restore")
	r.cwnd(1)
	c.event(&r.s, r.now, ccUndo)
	require.InDelta(t, 100, c.wMax, 1e-9, "an undo restores the curve")
}

// In the long run the window follows the curve: at 100 ms round trips, from 70 back to 100 in about K.
func TestCubicGrowsAlongTheCurve(t *testing.T) {
	r := newSendRig(t, 1000)
	c := r.s.cc.(*cubic)
	r.cwnd(100)
	r.s.ssthresh = c.reduce(&r.s, r.now, ccLoss)
	r.cwnd(r.s.ssthresh)
	r.s.rtt.srtt = 100 * ms
	start := r.now
	for r.now-start < 4300*ms {
		w := r.s.cwnd
		for range w {
			r.s.cc.grow(&r.s, r.now, 1)
			r.now += 100 * ms / int64(w)
		}
		if at := float64(r.now-start)/1e9 + 0.1; at > 0.5 {
			require.InDelta(t, max(c.curve(at), c.wEst), float64(r.s.cwnd), 2.5, "at %v s", at)
		}
	}
}

// RFC 9438 §4.3: on a short path the Reno-friendly window is larger than the curve.
func TestCubicIsRenoFriendly(t *testing.T) {
	r := newSendRig(t, 1000)
	r.cwnd(10)
	r.s.ssthresh = r.s.cc.reduce(&r.s, r.now, ccLoss)
	r.cwnd(r.s.ssthresh)
	r.s.rtt.srtt = ms
	for range 40 {
		for range r.s.cwnd {
			r.s.cc.grow(&r.s, r.now, 1)
		}
		r.now += ms
	}
	// 40 round trips: alpha = 0.53 up to 10, then one segment each
	require.InDelta(t, 10+(40-3/0.53), float64(r.s.cwnd), 6)
}

// RFC 9438 §4.8: after a timeout "K is set to 0, and W_max is set to the congestion window size at the beginning of the
// current congestion avoidance stage".
// Round trips of 0.1 ms, and a loss after a few of them: by the exact curve, and by W_est, the window would have grown from 5 to 7 in four: here it is a segment each, for a millisecond.
func TestCubicOnAShortPath(t *testing.T) {
	r := newSendRig(t, 1000)
	r.cwnd(8)
	r.s.ssthresh = r.s.cc.reduce(&r.s, r.now, ccLoss)
	r.cwnd(r.s.ssthresh)
	r.s.rtt.srtt = ms / 10
	trips := func(n int) {
		for range n {
			for range r.s.cwnd {
				r.s.cc.grow(&r.s, r.now, 1)
			}
			r.now += ms / 10
		}
	}
	require.EqualValues(t, 5, r.s.cwnd)
	trips(4)
	require.InDelta(t, 8.5, r.s.cwnd, 0.5)
	trips(6)
	was := r.s.cwnd
	trips(4)
	require.LessOrEqual(t, r.s.cwnd, was+4, "a millisecond later it is above the plateau, and grows as Reno does")
}

func TestCubicAfterATimeout(t *testing.T) {
	r := newSendRig(t, 1000)
	c := r.s.cc.(*cubic)
	r.cwnd(100)
	r.s.ssthresh = c.reduce(&r.s, r.now, ccTimeout)
	c.event(&r.s, r.now, ccTimeout)
	require.EqualValues(t, 70, r.s.ssthresh)
	r.cwnd(70)
	c.grow(&r.s, r.now, 1)
	require.Zero(t, c.k)
	require.InDelta(t, 70, c.origin, 1e-9)
	require.True(t, c.hystart.off, "RFC 9406 §4.3: only for the initial slow start")
}

// RFC 9438 §4.2: time without use of the window does not count.
func TestCubicTimeIsOnlyThatOfUse(t *testing.T) {
	r := newSendRig(t, 1000)
	c := r.s.cc.(*cubic)
	r.s.ssthresh = 10
	r.s.cwv.limited = true
	c.sample(&r.s, r.now, ackSample{})
	c.grow(&r.s, r.now, 1)
	epoch := c.epoch
	r.after(100 * ms)
	c.sample(&r.s, r.now, ackSample{})
	require.Equal(t, epoch, c.epoch)
	r.s.cwv.limited = false
	r.after(300 * ms)
	c.sample(&r.s, r.now, ackSample{})
	require.Equal(t, epoch+300*ms, c.epoch, "the application had less to send")
	r.after(5000 * ms)
	r.write(1000)
	r.flush()
	require.Equal(t, epoch+5300*ms, c.epoch, "it was silent")
}

func TestReno(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "reno" })
	require.Equal(t, "reno", r.s.cc.name())
	r.s.ssthresh = 12
	r.s.cc.grow(&r.s, r.now, 5)
	require.EqualValues(t, 12, r.s.cwnd, "slow start up to ssthresh, three are left over")
	r.s.cc.grow(&r.s, r.now, 9)
	require.EqualValues(t, 13, r.s.cwnd, "one segment for twelve")
	require.EqualValues(t, 6, r.s.cc.reduce(&r.s, r.now, ccLoss))
	require.EqualValues(t, 10, r.s.cc.reduce(&r.s, r.now, ccECN))
}

// RFC 9406 §4.2: the round-trip time rises, growth is quartered, and after five rounds slow start is over.
func TestHyStart(t *testing.T) {
	r := newSendRig(t, 1000)
	h := &r.s.cc.(*cubic).hystart
	round := func(rtt int64) {
		r.s.nxt += 10000
		h.round(&r.s)
		for range 10 {
			h.sample(&r.s, rtt)
		}
		r.s.una = r.s.nxt
	}
	h.start(&r.s)
	round(40 * ms)
	round(40 * ms)
	require.False(t, h.css)
	round(44 * ms)
	require.False(t, h.css, "RttThresh = max(4, min(40/8, 16)) = 5 ms")
	round(50 * ms)
	require.True(t, h.css)
	require.EqualValues(t, 2, h.slower(8), "a quarter")
	round(45 * ms)
	require.False(t, h.css, "it was noise: slow start resumes")
	round(60 * ms)
	require.True(t, h.css)
	for range 5 {
		require.EqualValues(t, infinite, r.s.ssthresh)
		round(60 * ms)
	}
	require.Equal(t, r.s.cwnd, r.s.ssthresh, "five rounds: congestion avoidance")
}

// RFC 7661, Linux' rule: a window that was not used does not grow.
func TestUnusedWindowDoesNotGrow(t *testing.T) {
	r := newSendRig(t, 1000)
	at := 1
	for range 50 {
		r.write(2000)
		require.Equal(t, 2, r.flush())
		r.after(10 * ms)
		at += 2000
		r.ack(at)
	}
	require.EqualValues(t, 10, r.s.cwnd)
}

// RFC 5681 §4.1 and RFC 2861: silence halves the window for each timeout, down to ten segments.
func TestRestartAfterIdle(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	r.after(10 * ms)
	r.ack(1001)
	r.cwnd(80)
	r.after(2*210*ms + 50*ms) // SRTT 10 + 200
	r.write(1000)
	require.EqualValues(t, 20, r.s.cwnd, "two timeouts passed")
	r.flush()
	r.after(10 * ms)
	r.ack(2001)
	r.after(60 * 1000 * ms)
	r.write(1000)
	require.EqualValues(t, 10, r.s.cwnd)
}

// RFC 3168 §6.1.2: once per window; CWR on the next new segment; retransmissions are not ECT.
func TestECN(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.ecn.ok = true
	r.write(20000)
	s, _ := r.s.next(r.now)
	require.True(t, s.ect && !s.cwr)
	require.Equal(t, 10, r.flush())
	r.after(100 * ms)
	ece := func(in *ackIn) { in.ece = true }
	r.ackWith(1001, ece)
	r.state(caCWR)
	require.EqualValues(t, 8, r.s.ssthresh, "ABE: 10 * 0.85")
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.cwr && s.ect)
	r.flush()
	r.ackWith(5001, ece)
	require.EqualValues(t, 8, r.s.ssthresh, "the same window")
	r.flush()
	require.False(t, r.s.ecn.cwrQueued)
	r.ack(r.rel(r.s.highSeq) + 1000)
	r.state(caOpen)
	require.EqualValues(t, 8, r.s.cwnd)
}

// Seed 85603 of tests/sim: from BBR to CUBIC in the middle of a reduction. Its end made BBR's ssthresh, of its model of the path, the window.
func TestLeavingBBRInAReduction(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr3" })
	r.s.ecn.ok = true
	r.write(40000)
	require.Equal(t, 10, r.flush())
	r.after(20 * ms)
	r.s.ssthresh = 78
	r.ackWith(1001, func(in *ackIn) { in.ece = true })
	r.state(caCWR)
	most := r.s.prr.cwnd
	require.True(t, r.s.setCongestion(r.now, "cubic"))
	r.ack(9001)
	require.Positive(t, r.flush())
	r.ack(r.rel(r.s.highSeq) + 1000)
	r.state(caOpen)
	require.LessOrEqual(t, r.s.cwnd, most)
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// bbrRig has measured a path of 1,000 segments a second and 100 ms: a BDP of 100 segments. It is in ProbeBW and cruises.
func bbrRig(t *testing.T) (*sendRig, *bbr) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr" })
	r.s.pace.free = 0
	b := r.s.cc.(*bbr)
	b.bw.add(0, 1000)
	b.minRTT, b.rttAt, b.full, b.mode, b.cycle, b.cycleAt = 100*ms, r.now, true, bbrProbeBW, 3, r.now
	r.s.rtt.sample(r.p, 100*ms, r.s.una, r.s.nxt)
	b.seenRTT = true
	b.setRate(&r.s, 1)
	r.cwnd(200)
	return r, b
}

// bbrSample is an ACK that delivered n of n segments at bw segments a second, a round trip each.
func bbrSample(r *sendRig, b *bbr, n uint32, bw int64, f ...func(*ackSample)) {
	r.now += 100 * ms
	r.s.rate.delivered += n
	r.s.rate.at = r.now
	a := ackSample{rtt: 100 * ms, acked: n, delivered: n, interval: int64(n) * 1e9 / bw, inFlight: n, prior: r.s.rate.delivered - 1}
	for _, f := range f {
		f(&a)
	}
	b.sample(&r.s, r.now, a)
}

// "BBR.pacing_gain" and "BBR.cwnd_gain": the rate is 1 % below gain * bw; the window twice the BDP and three quanta.
func TestBBRRateAndWindow(t *testing.T) {
	r, b := bbrRig(t)
	require.EqualValues(t, 990_000, r.s.pace.rate)
	bbrSample(r, b, 50, 1000)
	bbrSample(r, b, 50, 1000)
	require.EqualValues(t, 200+50+3*2, r.s.cwnd, "2 * BDP, 50 that came at once, 3 quanta of two segments")
	b.cycle = 0
	b.sample(&r.s, r.now, ackSample{rtt: -1})
	require.EqualValues(t, 1_237_500, r.s.pace.rate, "probing: 1.25")
	b.cycle = 1
	b.sample(&r.s, r.now, ackSample{rtt: -1, inFlight: 300})
	require.InDelta(t, 742_500, r.s.pace.rate, 1, "draining: 0.75")
}

// "BBR counts several (three) non-application-limited rounds where attempts to significantly increase the delivery rate
// actually result in little increase": then Startup ends, Drain empties the queue, and ProbeBW begins.
func TestBBRStartupEndsAtThePlateau(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr" })
	b := r.s.cc.(*bbr)
	for _, bw := range []int64{100, 200, 400, 800, 1000} {
		bbrSample(r, b, 20, bw)
		require.Equal(t, bbrStartup, b.mode)
	}
	bbrSample(r, b, 20, 1000)
	bbrSample(r, b, 20, 1000, func(a *ackSample) { a.limited = true })
	bbrSample(r, b, 20, 1100)
	require.False(t, b.full, "two rounds: the application limited one")
	r.s.sb.out = 500
	bbrSample(r, b, 20, 1050)
	require.True(t, b.full)
	require.Equal(t, bbrDrain, b.mode)
	require.InDelta(t, 0.99*1100*1000/bbrHighGain, r.s.pace.rate, 1, "1 / startup gain")
	r.s.sb.out = 100
	bbrSample(r, b, 20, 1050)
	require.Equal(t, bbrProbeBW, b.mode)
	require.NotEqual(t, uint8(1), b.cycle, "never begins by draining")
	r.s.sb.out = 0
}

// "the estimator does use application-limited samples if the measured delivery rate happens to be larger"; a lower one
// is no evidence, and old maxima are forgotten after ten rounds.
func TestBBRBandwidthFilter(t *testing.T) {
	r, b := bbrRig(t)
	limited := func(a *ackSample) { a.limited = true }
	for range 30 {
		bbrSample(r, b, 10, 300, limited)
	}
	require.EqualValues(t, 1000, b.bw.get())
	bbrSample(r, b, 10, 1250, limited)
	require.InDelta(t, 1250, b.bw.get(), 1)
	for range 10 {
		bbrSample(r, b, 10, 500)
		require.InDelta(t, 1250, b.bw.get(), 1)
	}
	bbrSample(r, b, 10, 500)
	require.InDelta(t, 500, b.bw.get(), 1)
}

// "in loss recovery BBR more conservatively adjusts": one for one in the first round trip; afterwards the window is back.
// The rate never changes.
func TestBBRInRecovery(t *testing.T) {
	r, b := bbrRig(t)
	rate := r.s.pace.rate
	b.reduce(&r.s, r.now, ccLoss)
	r.s.state, r.s.sb.out = caRecovery, 150
	b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 2, lost: 10})
	require.EqualValues(t, 152, r.s.cwnd, "what is in flight and what arrived")
	r.s.sb.out = 140
	b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 3, lost: 0})
	require.EqualValues(t, 152, r.s.cwnd)
	r.s.state = caOpen
	b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 1})
	require.GreaterOrEqual(t, r.s.cwnd, uint32(200), "RestoreCwnd")
	require.Equal(t, rate, r.s.pace.rate)
	r.s.sb.out = 0
}

// ProbeRTT: ten seconds without a round trip as short; four segments for 200 ms; then the window is back.
func TestBBRProbeRTT(t *testing.T) {
	r, b := bbrRig(t)
	slow := func(a *ackSample) { a.rtt = 120 * ms }
	for range 100 {
		bbrSample(r, b, 10, 1000, slow)
	}
	require.Equal(t, bbrProbeBW, b.mode)
	cwnd := r.s.cwnd
	bbrSample(r, b, 10, 1000, slow)
	require.Equal(t, bbrProbeRTT, b.mode)
	require.EqualValues(t, 4, r.s.cwnd)
	bbrSample(r, b, 4, 40, slow)
	bbrSample(r, b, 4, 40, slow)
	require.Equal(t, bbrProbeRTT, b.mode)
	bbrSample(r, b, 4, 40, slow)
	require.Equal(t, bbrProbeBW, b.mode)
	require.GreaterOrEqual(t, r.s.cwnd, cwnd-10)
	require.EqualValues(t, 120*ms, b.minRTT, "the path became longer")
}

// "when restarting from idle in ProbeBW states, BBR leaves C.cwnd as-is and paces packets at exactly BBR.bw".
func TestBBRRestartsFromIdle(t *testing.T) {
	r, b := bbrRig(t)
	b.cycle = 0
	b.setRate(&r.s, 1.25)
	r.after(5000 * ms)
	r.write(10000)
	require.EqualValues(t, 200, r.s.cwnd)
	r.flush()
	require.True(t, b.idle)
	require.EqualValues(t, 990_000, r.s.pace.rate)
}

// Segments leave in quanta, at the rate; a late timer is made good for.
func TestPacerBursts(t *testing.T) {
	r, _ := bbrRig(t)
	r.s.rtt.min = minFilter{}
	r.s.rtt.min.add(r.now, 100*ms, 300e9)
	r.write(50_000)
	start, sent := r.now, r.flush()
	require.Equal(t, 2, sent, "a quantum")
	for sent < 36 {
		require.Equal(t, r.s.pace.wake, r.s.deadline())
		r.now = r.s.deadline()
		if sent == 20 {
			r.now += ms / 2
		}
		r.s.onTimer(r.now)
		n := r.flush()
		require.Equal(t, 2, n, "after %d", sent)
		sent += n
	}
	require.InEpsilon(t, 33*1000*1e9/990_000, float64(r.now-start), 0.01)
}

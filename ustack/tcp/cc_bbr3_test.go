package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// bbr3Rig has measured a path of 1,000 segments a second and 100 ms: a BDP of 100 segments and one for rounding. It is in
// ProbeBW_CRUISE.
func bbr3Rig(t *testing.T) (*sendRig, *bbr3) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr3" })
	r.s.pace.free = 0
	b := r.s.cc.(*bbr3)
	b.maxBW = [2]float64{1000, 1000}
	b.minRTT, b.minAt, b.probeRTT, b.probeAt, b.full, b.seenRTT = 100*ms, r.now, 100*ms, r.now, true, true
	r.s.rtt.sample(r.p, 100*ms, r.s.una, r.s.nxt)
	b.startDown(&r.s, r.now)
	b.phase, b.state, b.wait, b.sinceUp = acksInit, bbr3Cruise, 2500*ms, 0
	b.setRate(&r.s, 1)
	r.cwnd(200)
	return r, b
}

// bbr3Round is one round trip's ACK, that of segments sent after the round before: n delivered at bw segments a second,
// n in flight when they left.
func bbr3Round(r *sendRig, b *bbr3, n uint32, bw int64, f ...func(*ackSample)) {
	r.now += 100 * ms
	r.s.rate.delivered += n
	r.s.rate.at = r.now
	a := ackSample{rtt: 100 * ms, acked: n, delivered: n, interval: int64(n) * 1e9 / bw, inFlight: n, flight: n, prior: r.s.rate.delivered - 1}
	for _, f := range f {
		f(&a)
	}
	b.sample(&r.s, r.now, a)
}

func lossyRound(n uint32) func(*ackSample) { return func(a *ackSample) { a.lost, a.lostSince = n, n } }
func limitedRound(a *ackSample)            { a.limited = true }

// loseThem deems n segments lost that left one after another, flight in flight, beside gaps of one.
func loseThem(r *sendRig, b *bbr3, n, flight int) {
	for i := range n {
		r.s.sb.lostMarks++
		b.lost(&r.s, r.now, &txRec{seq: r.seq(2000 * i), n: 1000, flight: uint16(flight), lost: uint16(r.s.sb.lostMarks) - uint16(i+1)})
	}
}

// "Exiting STARTUP on Bandwidth Plateau", "Exiting DRAIN Based on Inflight": three rounds that did not grow by a quarter;
// Drain at half the rate until no more is in flight than the path holds.
func TestBBR3StartupEndsAtThePlateau(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr3" })
	b := r.s.cc.(*bbr3)
	r.s.rtt.sample(r.p, 100*ms, r.s.una, r.s.nxt)
	for _, bw := range []int64{100, 200, 400, 800, 1000} {
		bbr3Round(r, b, 20, bw)
		require.Equal(t, bbr3Startup, b.state)
	}
	require.InDelta(t, 2.77*0.99*1000*1000, r.s.pace.rate, 1, "4 * ln(2)")
	bbr3Round(r, b, 20, 1000)
	bbr3Round(r, b, 20, 1000, limitedRound)
	bbr3Round(r, b, 20, 1100)
	require.False(t, b.full, "two rounds: the application limited one")
	r.s.sb.out = 500
	bbr3Round(r, b, 20, 1050)
	require.True(t, b.full && b.fullNow)
	require.Equal(t, bbr3Drain, b.state)
	require.InDelta(t, 0.5*0.99*1100*1000, r.s.pace.rate, 1, "BBR.DrainPacingGain = 0.5")
	r.s.sb.out = 100
	bbr3Round(r, b, 20, 1050)
	require.Equal(t, bbr3Cruise, b.state, "nothing is queued: DOWN is over with the same ACK")
	require.InDelta(t, 0.99*1100*1000, r.s.pace.rate, 1)
	r.s.sb.out = 0
}

// "Exiting DRAIN Based on Time": "BBR enters ProbeBW after 3 round trips".
func TestBBR3DrainEndsInTime(t *testing.T) {
	r, b := bbr3Rig(t)
	b.state, b.drainRound = bbr3Drain, b.rounds
	r.s.sb.out = 500
	for range 3 {
		bbr3Round(r, b, 20, 1000)
		require.Equal(t, bbr3Drain, b.state)
	}
	bbr3Round(r, b, 20, 1000)
	require.Equal(t, bbr3Down, b.state)
	r.s.sb.out = 0
}

// "Exiting STARTUP on Loss When Application-Limited": in fast recovery for a round, more than 2 % lost, in six places.
func TestBBR3StartupEndsByLoss(t *testing.T) {
	for _, c := range []struct {
		what   string
		places int
		lost   uint32
		state  caState
		ends   bool
	}{
		{"too many", 6, 6, caRecovery, true},
		{"in few places", 5, 6, caRecovery, false},
		{"few", 6, 2, caRecovery, false},
		{"not in recovery", 6, 6, caDisorder, false},
	} {
		r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr3" })
		b := r.s.cc.(*bbr3)
		for _, bw := range []int64{100, 200, 400, 800} {
			bbr3Round(r, b, 50, bw, limitedRound)
		}
		loseThem(r, b, c.places, 100)
		r.s.state, r.s.sb.out = c.state, 500
		bbr3Round(r, b, 100, 900, limitedRound, func(a *ackSample) { a.lostSince = c.lost })
		require.Equal(t, c.ends, b.state == bbr3Drain, c.what)
		if c.ends {
			require.EqualValues(t, 100, b.long, "max(BBR.bdp, BBR.inflight_latest)")
			require.Equal(t, bbr3Startup, b.undoState)
		}
		r.s.sb.out = 0
	}
}

// Without SACK any loss in recovery ends Startup.
func TestBBR3StartupEndsByLossWithoutSACK(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr3" })
	r.s.sackOK = false
	b := r.s.cc.(*bbr3)
	bbr3Round(r, b, 20, 100)
	r.s.state, r.s.sb.out = caRecovery, 300
	bbr3Round(r, b, 20, 200, lossyRound(1))
	require.Equal(t, bbr3Drain, b.state)
	r.s.sb.out = 0
}

// A cycle of ProbeBW without losses: CRUISE until it is time, a round of REFILL, UP until the rate does not grow for three
// rounds, DOWN until no queue is left.
func TestBBR3Cycle(t *testing.T) {
	r, b := bbr3Rig(t)
	b.sinceUp, b.cycleAt = 0, r.now-2450*ms
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Refill, b.state, "BBR.bw_probe_wait is over")
	require.Equal(t, acksRefilling, b.phase)
	require.EqualValues(t, 990_000, r.s.pace.rate)
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Up, b.state, "after one round")
	require.EqualValues(t, 1_237_500, r.s.pace.rate, "1.25")
	require.True(t, b.probing)
	bbr3Round(r, b, 125, 1250)
	require.Equal(t, acksFeedback, b.phase)
	for range 2 {
		bbr3Round(r, b, 125, 1250)
		require.Equal(t, bbr3Up, b.state)
	}
	r.s.sb.out = 150
	bbr3Round(r, b, 125, 1250)
	require.Equal(t, bbr3Down, b.state, "three rounds of the same rate")
	require.InDelta(t, 0.9*0.99*1_250_000, r.s.pace.rate, 1)
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, [2]float64{1250, 0}, b.maxBW, "a round after UP the next slot begins")
	require.Equal(t, bbr3Down, b.state)
	r.s.sb.out = 120
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Cruise, b.state, "BBR.bdp is 125")
	r.s.sb.out = 0
}

// T_reno = min(reno_bdp, 63) rounds: a small window is probed as often as Reno would lose.
func TestBBR3ProbesLikeReno(t *testing.T) {
	r, b := bbr3Rig(t)
	b.maxBW, b.wait = [2]float64{50, 50}, 3600_000*ms
	b.probeAt = r.now + 3600_000*ms
	rounds := 0
	for b.state == bbr3Cruise {
		bbr3Round(r, b, 5, 50)
		rounds++
	}
	require.Equal(t, bbr3Refill, b.state)
	require.Equal(t, 6, rounds, "a BDP of 5, and one for rounding")
}

// PickProbeWait: two to three seconds and zero or one round.
func TestBBR3WaitsByChance(t *testing.T) {
	_, b := bbr3Rig(t)
	least, most, rounds := int64(3600_000*ms), int64(0), [2]int{}
	for range 2000 {
		b.pickWait()
		least, most = min(least, b.wait), max(most, b.wait)
		rounds[b.sinceUp]++
	}
	require.InDelta(t, 2000*ms, least, float64(10*ms))
	require.InDelta(t, 3000*ms, most, float64(10*ms))
	require.InDelta(t, 1000, rounds[0], 100)
}

// "Exiting PROBE_DOWN After Max Time": REFILL follows though the queue did not drain.
func TestBBR3DownEndsInTime(t *testing.T) {
	r, b := bbr3Rig(t)
	b.startDown(&r.s, r.now)
	b.sinceUp, r.s.sb.out = 0, 180
	for i := 0; b.state == bbr3Down; i++ {
		bbr3Round(r, b, 90, 900)
		require.Less(t, i, 32)
	}
	require.Equal(t, bbr3Refill, b.state)
	require.Greater(t, r.now, b.cycleAt+b.wait)
	r.s.sb.out = 0
}

// "Entering and Exiting PROBE_RTT": five seconds without a shorter round trip, half a BDP for 200 ms and a round.
func TestBBR3ProbeRTT(t *testing.T) {
	r, b := bbr3Rig(t)
	slow := func(a *ackSample) { a.rtt = 120 * ms }
	b.cycleAt, b.wait = r.now, 3600_000*ms
	for range 50 {
		b.sinceUp = 0
		bbr3Round(r, b, 100, 1000, slow)
	}
	require.Equal(t, bbr3Cruise, b.state)
	cwnd := r.s.cwnd
	r.s.sb.out = 60
	bbr3Round(r, b, 100, 1000, slow)
	require.Equal(t, bbr3ProbeRTT, b.state)
	require.EqualValues(t, 51, r.s.cwnd, "half of the BDP")
	r.s.sb.out = 50
	bbr3Round(r, b, 50, 500, slow)
	bbr3Round(r, b, 50, 500, slow)
	require.Equal(t, bbr3ProbeRTT, b.state)
	bbr3Round(r, b, 50, 500, slow)
	require.Equal(t, bbr3ProbeRTT, b.state, "200 ms are not over, but are now")
	bbr3Round(r, b, 50, 500, slow)
	require.Equal(t, bbr3Cruise, b.state, "not DOWN: nothing is queued")
	require.GreaterOrEqual(t, r.s.cwnd, cwnd-1)
	require.EqualValues(t, 100*ms, b.minRTT, "BBR.MinRTTFilterLen is longer")
	require.InDelta(t, 1000, b.most(), 1, "low samples are no evidence")
	r.s.sb.out = 0
}

// "Entering and Exiting PROBE_RTT During STARTUP".
func TestBBR3ProbeRTTInStartup(t *testing.T) {
	r, b := bbr3Rig(t)
	b.state, b.full = bbr3ProbeRTT, false
	b.doneAt, b.roundDone = r.now-1, true
	bbr3Round(r, b, 10, 100)
	require.Equal(t, bbr3Startup, b.state)
}

// "Skipping PROBE_RTT Due to Application-Limited Sending", and "when restarting from idle in ProbeBW states, BBR leaves
// C.cwnd as-is and paces packets at exactly BBR.bw".
func TestBBR3RestartsFromIdle(t *testing.T) {
	r, b := bbr3Rig(t)
	b.setRate(&r.s, 1.25)
	r.after(6000 * ms)
	r.write(10000)
	require.EqualValues(t, 200, r.s.cwnd)
	r.flush()
	require.True(t, b.idle)
	require.EqualValues(t, 990_000, r.s.pace.rate)
	bbr3Round(r, b, 5, 500, func(a *ackSample) { a.rtt = 110 * ms })
	require.NotEqual(t, bbr3ProbeRTT, b.state)
	require.False(t, b.idle)
}

// "Handling Application-Limited Sending During PROBE_REFILL": lower samples do not count, higher ones do.
func TestBBR3BandwidthFilter(t *testing.T) {
	r, b := bbr3Rig(t)
	b.startRefill(&r.s)
	bbr3Round(r, b, 10, 300, limitedRound)
	require.Equal(t, bbr3Up, b.state)
	require.InDelta(t, 1000, b.bw(), 0)
	bbr3Round(r, b, 10, 1250, limitedRound)
	require.InDelta(t, 1250, b.bw(), 1)
	for range 20 {
		bbr3Round(r, b, 10, 600, limitedRound)
		require.Equal(t, bbr3Up, b.state, "never leaves UP while the application limits it and nothing is lost")
	}
}

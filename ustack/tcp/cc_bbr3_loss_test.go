package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// "Upon the ACK at the end of each round that encountered a newly-marked loss": the short-term bounds fall by BBR.Beta at
// most, not below what is delivered; REFILL forgets them.
func TestBBR3ShortTermBounds(t *testing.T) {
	r, b := bbr3Rig(t)
	loseThem(r, b, 1, 100)
	bbr3Round(r, b, 60, 600, lossyRound(1))
	require.InDelta(t, 700, b.shortBW, 1, "0.7 of the bandwidth")
	require.EqualValues(t, 140, b.short, "0.7 of the window")
	require.InDelta(t, 0.99*700*1000, r.s.pace.rate, 1)
	loseThem(r, b, 1, 100)
	bbr3Round(r, b, 60, 600, lossyRound(1))
	require.InDelta(t, 600, b.shortBW, 1, "what is delivered")
	require.EqualValues(t, 98, b.short)
	bbr3Round(r, b, 80, 800)
	require.InDelta(t, 600, b.shortBW, 1, "no loss: no change")
	require.LessOrEqual(t, r.s.cwnd, uint32(98))
	b.wait = 0
	bbr3Round(r, b, 80, 800)
	require.Equal(t, bbr3Refill, b.state)
	require.InDelta(t, 1000, b.bw(), 1)
	require.EqualValues(t, infinite, b.short)
}

// While it probes, losses below BBR.LossThresh change nothing; above it they set the long-term bound to what was in flight
// where the losses crossed it, and UP is over.
func TestBBR3ProbeGoesTooHigh(t *testing.T) {
	r, b := bbr3Rig(t)
	b.startRefill(&r.s)
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Up, b.state)
	loseThem(r, b, 3, 160) // 3 of 160 are less than 2 %
	require.EqualValues(t, infinite, b.long)
	loseThem(r, b, 4, 160) // the fourth is not
	require.Equal(t, bbr3Down, b.state)
	require.True(t, b.tooHigh)
	require.False(t, b.probing, "only react once per bw probe")
	require.EqualValues(t, 159, b.long, "inflight_prev + lost_prefix")
	require.InDelta(t, 1000, b.bw(), 1, "the bandwidth stays")
	bbr3Round(r, b, 100, 1000)
	require.LessOrEqual(t, r.s.cwnd, uint32(159))
	b.state = bbr3Cruise
	bbr3Round(r, b, 100, 1000)
	require.EqualValues(t, 159-23, r.s.cwnd, "BBR.Headroom: 0.15")
}

// The bound is not below "TargetInflight() * BBR.Beta", and not set while the application limits.
func TestBBR3LongTermBoundHasAFloor(t *testing.T) {
	r, b := bbr3Rig(t)
	b.probing = true
	b.flightTooHigh(&r.s, r.now, 20, false)
	require.EqualValues(t, 70, b.long)
	b.long = infinite
	b.flightTooHigh(&r.s, r.now, 20, true)
	require.EqualValues(t, infinite, b.long)
}

func TestBBR3FlightAtLoss(t *testing.T) {
	require.EqualValues(t, 100, flightAtLoss(100, 2), "(0.02 * 99 - 1) / 0.98 more than 99")
	require.EqualValues(t, 99, flightAtLoss(100, 3))
	require.EqualValues(t, 0, flightAtLoss(1, 9))
}

// "Precautionary Bandwidth Probing": after a probe that went too high the next one ends when the bound is reached; if
// nothing was lost by then, another follows at once, without CRUISE, and grows the bound by 1, 2, 4 a round.
func TestBBR3ProbesWithCare(t *testing.T) {
	r, b := bbr3Rig(t)
	b.tooHigh, b.long = true, 150
	b.startRefill(&r.s)
	r.s.sb.out = 140
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Up, b.state)
	r.s.sb.out = 150
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Down, b.state)
	require.True(t, b.careful)
	require.False(t, b.tooHigh)
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Refill, b.state, "Acceleration")
	require.False(t, b.careful)
	bbr3Round(r, b, 150, 1500)
	require.Equal(t, bbr3Up, b.state)
	r.s.cwv.limited = true
	was, grown := b.long, []uint32{}
	for range 4 {
		bbr3Round(r, b, 150, 1500)
		grown, was = append(grown, b.long-was), b.long
		b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 1})
		require.Equal(t, bbr3Up, b.state, "held by the bound, so that the rate says nothing")
	}
	require.Equal(t, []uint32{1, 2, 4, 8}, grown)
	r.s.sb.out = 0
}

// "if (RS.tx_in_flight > BBR.inflight_longterm) BBR.inflight_longterm = RS.tx_in_flight".
func TestBBR3BoundRisesToWhatWasSafe(t *testing.T) {
	r, b := bbr3Rig(t)
	b.long = 110
	bbr3Round(r, b, 130, 1000)
	require.EqualValues(t, 130, b.long)
	bbr3Round(r, b, 150, 1000, lossyRound(5))
	require.EqualValues(t, 130, b.long, "5 of 150 is too much")
}

// "Upon exiting loss recovery [...] BBR restores the best-known cwnd value"; within it nothing but the model bounds it.
func TestBBR3InRecovery(t *testing.T) {
	r, b := bbr3Rig(t)
	loseThem(r, b, 1, 100)
	b.reduce(&r.s, r.now, ccLoss)
	r.s.state, r.s.sb.out = caRecovery, 150
	b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 2, lost: 1})
	require.EqualValues(t, 201, r.s.cwnd)
	b.reduce(&r.s, r.now, ccTimeout)
	r.s.state, r.s.cwnd = caLoss, 1
	b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 2})
	require.EqualValues(t, 4, r.s.cwnd, "BBR.MinPipeCwnd")
	bbr3Round(r, b, 70, 700, lossyRound(10))
	require.EqualValues(t, 201*7/10, b.short, "of the window before the timeout")
	r.s.state = caOpen
	b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 1})
	require.EqualValues(t, 201*7/10, r.s.cwnd, "RestoreCwnd, within the bound")
	r.s.sb.out = 0
}

// A loss before any bandwidth is known ends Startup without SACK; the rate stays what it was, or nothing would ever leave.
func TestBBR3LossBeforeAnyBandwidth(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Congestion = "bbr3" })
	r.s.sackOK = false
	b := r.s.cc.(*bbr3)
	rate := r.s.pace.rate
	r.s.state, r.s.sb.out = caRecovery, 9
	for range 3 {
		loseThem(r, b, 1, 9)
		b.sample(&r.s, r.now, ackSample{rtt: -1, acked: 1, lost: 1})
	}
	require.NotEqual(t, bbr3Startup, b.state)
	require.Equal(t, rate, r.s.pace.rate)
	require.Equal(t, noBound, b.shortBW)
	r.s.sb.out = 0
}

// "Handling Spurious Fast Recovery": the bounds are back, and the probe that the losses ended is taken up again.
func TestBBR3UndoesAProbesEnd(t *testing.T) {
	r, b := bbr3Rig(t)
	b.startRefill(&r.s)
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Up, b.state)
	loseThem(r, b, 9, 120)
	b.reduce(&r.s, r.now, ccLoss)
	r.s.state = caRecovery
	require.Equal(t, bbr3Down, b.state)
	bbr3Round(r, b, 60, 600, lossyRound(9))
	loseThem(r, b, 2, 120) // a second round of the same episode
	bbr3Round(r, b, 60, 600, lossyRound(2))
	require.Less(t, b.short, uint32(infinite))
	b.event(&r.s, r.now, ccUndo)
	require.Equal(t, bbr3Refill, b.state)
	require.EqualValues(t, infinite, b.short)
	require.EqualValues(t, infinite, b.long)
	require.Equal(t, noBound, b.shortBW)
	require.GreaterOrEqual(t, r.s.cwnd, uint32(200))
}

// The same in Startup: "BBR.full_bw_reached = false [...] EnterStartup()".
func TestBBR3UndoesStartupsEnd(t *testing.T) {
	r, b := bbr3Rig(t)
	b.state, b.full = bbr3Startup, false
	loseThem(r, b, 6, 100)
	b.reduce(&r.s, r.now, ccLoss)
	r.s.state, r.s.sb.out = caRecovery, 300
	bbr3Round(r, b, 100, 1000, lossyRound(6))
	require.Equal(t, bbr3Drain, b.state)
	b.event(&r.s, r.now, ccUndo)
	require.Equal(t, bbr3Startup, b.state)
	require.False(t, b.full)
	require.EqualValues(t, infinite, b.long)
	r.s.sb.out = 0
}

// "the congestion controller response MUST treat any CE marks as congestion": like losses, in each state.
func TestBBR3TreatsMarksAsCongestion(t *testing.T) {
	r, b := bbr3Rig(t)
	b.reduce(&r.s, r.now, ccECN)
	bbr3Round(r, b, 60, 600)
	require.InDelta(t, 700, b.shortBW, 1)
	require.EqualValues(t, 140, b.short)

	r, b = bbr3Rig(t)
	b.startRefill(&r.s)
	bbr3Round(r, b, 100, 1000)
	r.s.sb.out = 130
	b.reduce(&r.s, r.now, ccECN)
	require.Equal(t, bbr3Down, b.state, "a probe ends")
	require.EqualValues(t, 130, b.long)
	r.s.sb.out = 0

	r, b = bbr3Rig(t)
	b.state, b.full = bbr3Startup, false
	b.reduce(&r.s, r.now, ccECN)
	r.s.sb.out = 300
	bbr3Round(r, b, 100, 1000)
	require.Equal(t, bbr3Drain, b.state, "Startup ends")
	r.s.sb.out = 0
}

// The sender tells the algorithm of each loss with what was in flight when the segment left, and of how much was lost
// since the newest delivered one did.
func TestBBR3HearsOfLosses(t *testing.T) {
	r, b := bbr3Rig(t)
	b.probing, b.state = true, bbr3Refill
	r.s.pace.rate = 1 << 40
	r.write(20_000)
	r.s.rate.limited = 0
	require.Equal(t, 20, r.flush())
	r.after(100 * ms)
	r.ack(1, 3001, 6001) // three duplicates' worth: the first three are lost
	require.EqualValues(t, 3, r.s.sb.lostMarks)
	require.True(t, b.tooHigh)
	require.EqualValues(t, 70, b.long, "the first was alone in flight: the floor")
	require.Equal(t, caRecovery, r.s.state)
	require.True(t, b.lossInRound)
	require.True(t, b.saved)
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// lossyRig has 10 segments of 1000 bytes in flight, 100 ms round trip, and time 100 ms after sending.
func lossyRig(t *testing.T, setup ...func(*sendRig)) *sendRig {
	r := newSendRig(t, 1000, setup...)
	r.s.ssthresh = 5
	r.write(1000)
	r.sent(1, 1000)
	r.after(100 * ms)
	r.ack(1001)
	r.cwnd(10)
	r.write(20000)
	require.Equal(t, 10, r.flush())
	r.after(100 * ms)
	return r
}

// RFC 8985 §6.2: no reordering seen yet, so the third SACKed segment proves the loss at once; then RFC 6937bis: one
// segment leaves for the loss, and about seven for ten delivered (beta 0.7).
func TestRACKRecoversOneLoss(t *testing.T) {
	r := lossyRig(t)
	r.ack(1001, 2001, 3001)
	r.state(caDisorder)
	require.Equal(t, timerReorder, r.s.tmr.kind, "a quarter of the least RTT is waited for")
	r.sent(11001, 1000) // limited transmit: one more delivered, one more sent
	r.after(ms)
	r.ack(1001, 2001, 4001)
	r.sent(12001, 1000)
	r.after(ms)
	r.ack(1001, 2001, 5001)
	r.state(caRecovery)
	require.EqualValues(t, 7, r.s.ssthresh, "10 * 0.7")
	r.sent(1001, 1000)
	sent := 1
	for end := 6001; end <= 13001; end += 1000 {
		r.after(ms)
		r.ack(1001, 2001, end)
		sent += r.flush()
	}
	require.InDelta(t, 7, sent, 1, "PRR: 0.7 sent for each delivered")
	r.after(100 * ms)
	r.ack(r.rel(r.s.nxt))
	r.state(caOpen)
	require.EqualValues(t, 7, r.s.cwnd, "cwnd = ssthresh at the end")
	require.EqualValues(t, 1, r.s.sb.total)
}

// RFC 8985 §6.2: with fewer than three SACKed segments the reordering timer decides.
func TestReorderTimerFindsTheLoss(t *testing.T) {
	r := lossyRig(t)
	r.ack(1001, 2001, 3001)
	r.sent(11001, 1000)
	r.timer(25*ms + timerSlack) // min_RTT / 4
	r.state(caRecovery)
	r.sent(1001, 1000)
}

// Reordering within the window costs nothing, and once it was seen three duplicates are no proof any more.
func TestReorderingIsNoLoss(t *testing.T) {
	r := lossyRig(t)
	r.ack(1001, 2001, 4001)
	r.flush()
	r.after(10 * ms)
	r.ack(4001)
	r.state(caOpen)
	require.Zero(t, r.s.sb.total)
	require.True(t, r.s.rack.seen, "the hole was filled by the original")
	r.after(10 * ms)
	r.ack(4001, 5001, 10001)
	r.state(caDisorder)
	require.Zero(t, r.s.sb.lost, "waits for the reordering window")
}

// RFC 8985 §6.2: a lost retransmission is found by what was sent after it.
func TestRACKFindsALostRetransmission(t *testing.T) {
	r := lossyRig(t)
	r.ack(1001, 2001, 5001)
	r.sent(1001, 1000)
	r.after(ms)
	r.ack(1001, 2001, 11001)
	n := r.flush() // new data behind the retransmission
	require.Positive(t, n)
	r.after(101 * ms)
	r.ack(1001, 2001, 11001+1000*n)
	require.EqualValues(t, 1, r.mem.Stats.LostRetransmit)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.rexmit)
	require.Equal(t, 1001, r.rel(s.seq))
}

// Without SACK: RFC 5681 §3.2 and RFC 6582 §3.2, two losses, one retransmission for each round trip.
func TestNewReno(t *testing.T) {
	r := lossyRig(t, func(r *sendRig) { r.p.Congestion = "reno" })
	r.s.sackOK = false
	for range 2 {
		r.ack(1001)
		r.state(caDisorder)
	}
	r.ack(1001)
	r.state(caRecovery)
	require.EqualValues(t, 5, r.s.ssthresh)
	r.sent(1001, 1000)
	for range 5 { // eight of ten arrived
		r.after(ms)
		r.ack(1001)
		r.flush()
	}
	r.after(100 * ms)
	r.ack(4001) // a partial ACK
	r.state(caRecovery)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.rexmit)
	require.Equal(t, 4001, r.rel(s.seq))
	r.s.sent(r.now, &s)
	r.flush()
	r.after(100 * ms)
	r.ack(r.rel(r.s.highSeq))
	r.state(caRecovery) // "careful variant": one more ACK ends it
	r.after(ms)
	if r.s.nxt.GT(r.s.highSeq) {
		r.ack(r.rel(r.s.nxt))
	} else {
		r.write(1000)
		r.flush()
		r.ack(r.rel(r.s.nxt))
	}
	r.state(caOpen)
	require.LessOrEqual(t, r.s.cwnd, uint32(7))
}

// A segment that is older than the receiver's report of a duplicate: DSACK gives the window back (RFC 3708).
func TestDSACKUndo(t *testing.T) {
	r := lossyRig(t)
	r.ack(1001, 2001, 5001)
	r.sent(1001, 1000)
	r.after(ms)
	r.ack(5001) // the original arrived late
	r.after(ms)
	r.ack(5001, 1001, 2001) // and the retransmission was a duplicate
	require.EqualValues(t, 1, r.mem.Stats.DSACKUndo)
	require.GreaterOrEqual(t, r.s.cwnd, uint32(10))
}

// Eifel, RFC 3522 §3.2: the ACK echoes a timestamp from before the retransmission.
func TestEifelUndo(t *testing.T) {
	r := lossyRig(t)
	sentAt := r.s.tsNow(r.now - 100*ms)
	r.ack(1001, 2001, 5001)
	r.after(5 * ms)
	r.sent(1001, 1000)
	r.after(5 * ms)
	r.ackWith(11001, func(in *ackIn) { in.hasTS, in.tsecr = true, sentAt })
	r.state(caOpen)
	require.EqualValues(t, 1, r.mem.Stats.Undos)
	require.GreaterOrEqual(t, r.s.cwnd, uint32(10))
}

// The ACKs of a reordered flight may come in one batch: what was deemed lost arrives before it could be sent again. Then
// nothing was lost, and no ACK could echo a timestamp or report a duplicate to say so.
func TestUndoWithoutRetransmission(t *testing.T) {
	r := lossyRig(t)
	before := r.s.ssthresh
	r.ack(1001, 2001, 5001)
	r.state(caRecovery)
	r.ack(6001) // the hole is filled, within the same batch
	r.state(caOpen)
	require.GreaterOrEqual(t, r.s.cwnd, uint32(10))
	require.GreaterOrEqual(t, r.s.ssthresh, before)
	require.EqualValues(t, 1, r.mem.Stats.Undos)

	r = lossyRig(t) // the same, and the ACK ends the episode at once
	r.ack(1001, 2001, 5001)
	r.ack(11001)
	r.state(caOpen)
	require.GreaterOrEqual(t, r.s.cwnd, uint32(10))

	r = lossyRig(t) // one of two was really lost
	r.ack(1001, 2001, 3001, 4001, 7001)
	require.EqualValues(t, 2, r.s.sb.lost)
	r.ack(3001, 4001, 7001)
	r.state(caRecovery)
	r.sent(3001, 1000, 11001, 1000, 12001, 1000)
	r.after(100 * ms)
	r.ack(13001)
	require.Less(t, r.s.cwnd, uint32(9))
	require.Zero(t, r.mem.Stats.Undos)
}

// F-RTO, RFC 5682: after a timeout new data goes first, and an ACK of what was never retransmitted proves it spurious.
func TestFRTOSpurious(t *testing.T) {
	r := lossyRig(t, func(r *sendRig) { r.p.EarlyRetrans = 0 })
	r.s.tsOK = false
	r.now = r.s.deadline()
	r.s.onTimer(r.now)
	r.state(caLoss)
	r.sent(1001, 1000)
	r.after(ms)
	r.ack(2001) // step 2b: the late ACK of the original
	s, ok := r.s.next(r.now)
	require.True(t, ok)
	require.Equal(t, 11001, r.rel(s.seq), "new data")
	r.s.sent(r.now, &s)
	r.flush()
	r.after(ms)
	r.ack(4001) // step 3b
	r.state(caOpen)
	require.EqualValues(t, 1, r.mem.Stats.SpuriousRTOs)
	require.GreaterOrEqual(t, r.s.cwnd, uint32(10))
	require.Zero(t, r.s.sb.lost)
}

// F-RTO step 3a: a duplicate ACK means the loss was real, and everything lost is sent again.
func TestFRTOReal(t *testing.T) {
	r := lossyRig(t, func(r *sendRig) { r.p.EarlyRetrans = 0 })
	r.now = r.s.deadline()
	r.s.onTimer(r.now)
	r.sent(1001, 1000)
	r.after(100 * ms)
	r.ack(2001)
	n := r.flush()
	require.Positive(t, n)
	r.after(100 * ms)
	r.ack(2001, 11001, 12001)
	r.state(caLoss)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.rexmit)
	require.Equal(t, 2001, r.rel(s.seq))
}

// RFC 8985 §7.3: the tail is lost; the probe repeats the last segment, its SACK shows the loss long before the timeout.
func TestTailLossProbe(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	r.after(100 * ms)
	r.ack(1001)
	r.write(4000)
	r.sent(1001, 1000, 2001, 1000, 3001, 1000, 4001, 1000)
	r.timer(200*ms + timerSlack) // 2 * SRTT
	r.sent(4001, 1000)
	require.Equal(t, timerRTO, r.s.tmr.kind)
	r.after(100 * ms)
	r.ack(1001, 4001, 5001)
	r.state(caRecovery)
	require.EqualValues(t, 3, r.s.sb.lost)
}

// §7.4.2: the probe repaired the only loss, so the window is reduced once.
func TestTailProbeRepairIsCongestion(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	r.after(100 * ms)
	r.ack(1001)
	w := r.s.cwnd
	r.write(2000)
	r.flush()
	r.now = r.s.deadline()
	r.s.onTimer(r.now)
	r.sent(2001, 1000)
	r.write(1000)
	r.sent(3001, 1000)
	r.after(100 * ms)
	r.ack(4001)
	require.EqualValues(t, 1, r.mem.Stats.LossProbeRecovery)
	require.Less(t, r.s.cwnd, w)
	r.state(caOpen)
}

// With something unsent, the probe is new data, even beyond cwnd.
func TestTailProbePrefersNewData(t *testing.T) {
	r := newSendRig(t, 1000)
	r.cwnd(2)
	r.write(3000)
	r.sent(1, 1000, 1001, 1000)
	r.timer(1000 * ms)
	r.sent(2001, 1000)
}

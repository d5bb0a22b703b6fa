package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 6298 §5: (5.4) the earliest segment goes again, (5.5) the timer backs off.
func TestRTOBacksOffAndGivesUp(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.EarlyRetrans = 0 })
	r.write(3000)
	r.sent(1, 1000, 1001, 1000, 2001, 1000)
	r.after(100 * ms)
	r.ack(1001)
	start := r.now
	want := 300 * ms // SRTT 100 + max(200, 4*50)
	for i := range 15 {
		o := r.timer(want)
		require.NoError(t, o.err, "retransmission %d", i+1)
		r.state(caLoss)
		require.EqualValues(t, 1, r.s.cwnd, "RFC 5681 §3.1: the loss window")
		r.sent(1001, 1000)
		want = min(2*want, 120*1000*ms)
	}
	for r.s.deadline() != 0 {
		r.now = r.s.deadline()
		if o := r.s.onTimer(r.now); o.err != nil {
			require.ErrorIs(t, o.err, ErrTimeout)
			require.Greater(t, r.now-start, 924*1000*ms, "tcp_retries2 of 15 is 924.6 s")
			require.Less(t, r.now-start, 1100*1000*ms)
			return
		}
		r.flush()
	}
	t.Fatal("never gave up")
}

func TestUserTimeoutEndsItOnTime(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.EarlyRetrans = 0 })
	r.s.userTime = int64(2 * time.Second)
	r.write(1000)
	r.sent(1, 1000)
	first := int64(0)
	for range 10 {
		r.now = r.s.deadline()
		o := r.s.onTimer(r.now)
		if o.err != nil {
			require.Equal(t, 2*time.Second, time.Duration(r.now-first), "counted from the first timeout")
			return
		}
		if first == 0 {
			first = r.now
		}
		r.flush()
	}
	t.Fatal("never gave up")
}

// Linux 6.18, tcp_syn_linear_timeouts: "1, 1, 1, 1, 1, 2, 4, ..." for an active open; a SYN-ACK backs off at once.
func TestSYNTimeouts(t *testing.T) {
	for _, active := range []bool{true, false} {
		r := newSendRig(t, 1000)
		r.s.init(r.now, r.p, r.mem, rigISS, 1000)
		r.s.active = active
		r.s.queueSYN(r.now)
		r.sent(0, 1)
		want := []int64{1, 1, 1, 1, 1, 2, 4, 8, 16, 32}
		if !active {
			want = []int64{1, 2, 4, 8, 16, 32}
		}
		for i, d := range want {
			require.NoError(t, r.timer(d*1000*ms).err, "try %d", i)
			r.sent(0, 1)
		}
		require.ErrorIs(t, r.timer(2*want[len(want)-1]*1000*ms).err, ErrTimeout)
	}
}

// TCP_SYNCNT 1: three seconds, though three SYNs leave meanwhile (tried on Linux 6.18).
// tcp_syn_linear_timeouts: how many repetitions come before the backoff.
func TestLinearSYNTimeouts(t *testing.T) {
	for linear, want := range map[int]time.Duration{0: 7 * time.Second, 1: 4 * time.Second, 4: 3 * time.Second} {
		r := newRig(t, func(p *Params) { p.SYNLinear = linear })
		r.dial(nil)
		r.want("S 0:0(0)")
		began := r.now
		for range 3 {
			r.now = r.c.Deadline()
			r.c.OnTimer(r.now, r)
			r.want("S 0:0(0)")
		}
		require.Equal(t, want, time.Duration(r.now-began), "%d", linear)
	}
}

func TestSYNTimeoutsAreCountedByTime(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.init(r.now, r.p, r.mem, rigISS, 1000)
	r.s.active, r.s.synTries = true, 1
	r.s.queueSYN(r.now)
	r.sent(0, 1)
	for range 2 {
		require.NoError(t, r.timer(1000*ms).err)
		r.sent(0, 1)
	}
	require.ErrorIs(t, r.timer(1000*ms).err, ErrTimeout)
}

func TestLostSYNCostsTheWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.init(r.now, r.p, r.mem, rigISS, 1000)
	r.s.active = true
	r.s.queueSYN(r.now)
	r.write(5000)
	r.sent(0, 1)
	r.timer(1000 * ms)
	r.sent(0, 1)
	r.timer(1000 * ms)
	r.sent(0, 1)
	r.after(10 * ms)
	o := r.ackWith(1, func(in *ackIn) { in.wnd = 60000 })
	require.True(t, o.synAcked)
	r.state(caOpen)
	r.sent(1, 1000) // "MUST be one segment consisting of at most SMSS bytes" RFC 5681 §3.1
	require.EqualValues(t, fallbackRTO, r.s.rtt.rto, "RFC 6298 (5.7)")
}

// A frame that still waits in a TX ring is not sent again before it is back.
func TestNoRetransmissionWhileInTheRing(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.EarlyRetrans = 0 })
	r.write(1000)
	r.sent(1, 1000)
	r.s.q.head.buf.InFlight = true
	r.timer(1000 * ms)
	r.sent()
	o := r.timer(ringRetry)
	require.True(t, o.send)
	r.s.q.head.buf.InFlight = false
	r.sent(1, 1000)
}

// After a timeout "the data sender SHOULD turn off all of the SACKed bits" of a peer that reneged, RFC 2018 §5.
func TestReneging(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(5000)
	r.flush()
	r.after(50 * ms)
	r.ack(1, 1001, 3001)
	r.flush()
	r.after(50 * ms)
	r.ack(1001, 1001, 3001) // acknowledges up to the blocks but not them: they were dropped
	require.Equal(t, timerRTO, r.s.tmr.kind)
	r.timer(r.s.rtt.srtt / 2)
	require.Zero(t, r.s.sb.sacked)
	require.EqualValues(t, 1, r.mem.Stats.SackReneging)
	r.sent(1001, 1000)
}

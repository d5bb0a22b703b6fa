package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// probeRig searches between 1,024 and 1,448 bytes, with a window of 20 segments and 40 KB to send.
func probeRig(t *testing.T, probing int) *sendRig {
	r := newSendRig(t, 1448, func(r *sendRig) { r.p.MTUProbing, r.p.Congestion = probing, "reno" })
	r.s.buf.set(1<<20, 1<<20)
	r.p.SlowStartIdle = false
	r.cwnd(20)
	r.s.ssthresh = 10
	return r
}

// ackAll acknowledges what is out after 100 ms.
func (r *sendRig) ackAll() { r.after(100 * ms); r.ack(r.rel(r.s.nxt)) }

// RFC 4821 §7.6.1: a probe that arrives raises the lower end; the search halves what is unknown, and ends below
// tcp_probe_threshold.
func TestProbesFindThePathMTU(t *testing.T) {
	r := probeRig(t, 2)
	require.Equal(t, 1024, r.s.mss, "tcp_base_mss")
	for _, size := range []int{1236, 1342, 1395, 1421, 1434, 1441} {
		cwnd, mss := r.s.cwnd, r.s.mss
		r.write(40_000)
		s, ok := r.s.next(r.now)
		require.True(t, ok && s.mtu && !s.rexmit)
		require.Equal(t, size, s.n)
		r.s.sent(r.now, &s)
		require.Equal(t, cwnd-1, r.s.cwnd)
		r.check()
		s, _ = r.s.next(r.now)
		require.True(t, !s.mtu && s.n <= mss, "one probe at a time")
		r.flush()
		r.ackAll()
		require.Equal(t, size, r.s.mss)
		require.InDelta(t, int(cwnd)*mss/size, r.s.cwnd, 2, "cwnd keeps its bytes")
		for r.s.q.head != nil {
			r.s.pmtu.probe = 1 // no other probe meanwhile
			r.s.pmtu.end = r.s.end + 1
			r.flush()
			r.ackAll()
		}
		r.s.pmtu.probe = 0
	}
	r.write(40_000)
	s, ok := r.s.next(r.now)
	require.True(t, ok && !s.mtu, "1,441 to 1,448: near enough")
	r.s.pmtu.high = 1441
	r.after(int64(r.p.ProbeInterval))
	_, _, _ = r.s.mtuProbe(r.now)
	require.EqualValues(t, 1448, r.s.pmtu.high, "after ten minutes it begins anew")
}

// The bytes of a probe are those of the records it was made of, also where one of them is cut.
func TestProbeCarriesTheData(t *testing.T) {
	r := probeRig(t, 2)
	for i := range 100 {
		r.s.write(r.now, []byte{byte(i), byte(i >> 8), 3, 4, 5, byte(i), 7, 8, 9, 10, 11}, 0)
	}
	r.s.setNoDelay(true)
	r.write(30_000)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.mtu)
	data := bytesOf(s.buf, s.off, s.n)
	for i := range 100 {
		require.Equal(t, byte(i), data[11*i], "write %d", i)
		require.Equal(t, byte(i), data[11*i+5])
	}
	r.check()
	r.s.sent(r.now, &s)
	r.flush()
	r.ackAll()
	r.check()
}

// RFC 4821 §7.6.2: "When only the probe is lost, it is treated as an indication that the Path MTU is smaller"; its data leaves again
// in smaller segments.
func TestLostProbe(t *testing.T) {
	r := probeRig(t, 2)
	r.write(40_000)
	n := r.flush()
	require.Positive(t, n)
	cwnd := r.s.cwnd
	r.after(100 * ms)
	r.ack(1, 1237, 1237+1024*8)
	require.Equal(t, cwnd+1, r.s.cwnd, "as before the probe")
	require.EqualValues(t, 1235, r.s.pmtu.high)
	require.Equal(t, 1024, r.s.mss)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.rexmit && s.seq == r.seq(1))
	require.Equal(t, 1024, s.n)
	r.s.sent(r.now, &s)
	s, ok = r.s.next(r.now)
	require.True(t, ok && s.rexmit)
	require.Equal(t, 1236-1024, s.n)
	r.s.sent(r.now, &s)
	r.flush()
	r.ackAll()
	r.state(caOpen)
	require.GreaterOrEqual(t, r.s.cwnd, cwnd)
	require.EqualValues(t, infinite, max(r.s.ssthresh, infinite))
}

// A timeout tells nothing of the size: "inconclusive" RFC 4821 §7.6.4.
func TestInconclusiveProbe(t *testing.T) {
	r := probeRig(t, 2)
	r.write(40_000)
	r.flush()
	r.s.onRTO(r.now + 1000*ms)
	require.Zero(t, r.s.pmtu.probe)
	require.EqualValues(t, 1448, r.s.pmtu.high)
}

// tcp_mtu_probing 1: past tcp_retries1 timeouts the MSS falls to 1,024 and then by halves; 0: never.
func TestBlackHoleIsFound(t *testing.T) {
	for probing, want := range map[int][]int{0: {1448, 1448, 1448}, 1: {1024, 512, 256}} {
		r := probeRig(t, probing)
		require.Equal(t, 1448, r.s.mss)
		r.write(40_000)
		r.flush()
		for range 3 {
			r.now = r.s.deadline()
			r.s.onTimer(r.now)
			r.flush()
		}
		for r.s.tmr.retries < 4 {
			require.Equal(t, 1448, r.s.mss)
			r.now = r.s.deadline()
			r.s.onTimer(r.now)
			r.flush()
		}
		for _, mss := range want {
			require.Equal(t, mss, r.s.mss, "tcp_mtu_probing %d", probing)
			r.now = r.s.deadline()
			r.s.onTimer(r.now)
			s, ok := r.s.next(r.now)
			require.True(t, ok && s.rexmit && s.n <= r.s.mss)
			r.s.sent(r.now, &s)
		}
	}
}

// An ICMP message about the probe ends it; the MSS was never that large.
func TestTooBigForTheProbe(t *testing.T) {
	r := probeRig(t, 2)
	r.write(40_000)
	r.flush()
	require.True(t, r.s.onTooBig(r.now, r.seq(1), 1100))
	require.Equal(t, 1024, r.s.mss)
	require.EqualValues(t, 1100, r.s.pmtu.high)
	require.Zero(t, r.s.pmtu.probe)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.rexmit)
	require.Equal(t, 1024, s.n)
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// tcp_update_pacing_rate: twice the window a round trip in slow start, 1.2 times of it later, or what the two sysctls say in percent.
func TestRateOfAWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	require.Zero(t, r.s.windowRate(), "no round trip is known")
	r.s.rtt.srtt = 100 * ms
	r.cwnd(10)
	require.EqualValues(t, 200_000, r.s.windowRate())
	r.p.PacingSS = 300
	require.EqualValues(t, 300_000, r.s.windowRate())
	r.s.ssthresh = 20
	require.EqualValues(t, 120_000, r.s.windowRate(), "half of ssthresh is reached")
	r.p.PacingCA = 100
	require.EqualValues(t, 100_000, r.s.windowRate())
}

// tcp_min_rtt_wlen: what is older is forgotten.
func TestLeastRoundTripIsForgotten(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.MinRTTWindow = 10e9 })
	r.write(1000)
	r.sent(1, 1000)
	r.after(10 * ms)
	r.ack(1001)
	require.EqualValues(t, 10*ms, r.s.rtt.min.get())
	for i := range 12 {
		r.after(1000 * ms)
		r.write(1000)
		r.sent(1001+1000*i, 1000)
		r.after(50 * ms)
		r.ack(2001 + 1000*i)
	}
	require.EqualValues(t, 50*ms, r.s.rtt.min.get())
}

package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRTOTable follows RFC 6298 §2 by hand, with Linux' floor of 200 ms on the variance term: RTO = SRTT + max(200 ms, 4*RTTVAR).
func TestRTOTable(t *testing.T) {
	for _, c := range []struct {
		name      string
		samples   []float64 // ms, each in a round of its own
		srtt, rto float64
	}{
		{"no sample: 1 s (2.1)", nil, 0, 1000},
		{"first sample 100: var 50 (2.2)", []float64{100}, 100, 300},
		{"first sample 1: the floor", []float64{1}, 1, 201},
		{"first sample 400: 400 + 4*200", []float64{400}, 400, 1200},
		// mdev 200 + (200-200)/4 = 200 since |1200-400| = 800: 200 + 600/4 = 350; srtt 400 + 800/8 = 500
		{"a rise counts at once", []float64{400, 1200}, 500, 500 + 4*350},
		// mdev 200, 150, 112.5; the variance falls at the end of a round by a quarter of the difference to the round's largest
		{"the first round holds the first value", []float64{400, 400}, 400, 400 + 4*200},
		{"a fall counts by round", []float64{400, 400, 400}, 400, 400 + 4*178.125},
		{"the ceiling", []float64{100000}, 100000, 120000},
	} {
		var e rttEstimator
		e.init()
		una := Seq(0)
		for _, v := range c.samples {
			una += 2
			e.sample(DefaultParams(), int64(v*1e6), una, una+1)
		}
		require.Equal(t, time.Duration(c.srtt*1e6), time.Duration(e.srtt), c.name)
		require.Equal(t, time.Duration(c.rto*1e6), time.Duration(e.rto), c.name)
	}
}

func TestMinRTTForgetsAfterTheWindow(t *testing.T) {
	var f minFilter
	f.take(0, 10, 100)
	f.take(30, 20, 100)
	f.take(60, 30, 100)
	require.EqualValues(t, 10, f.v[0])
	f.take(101, 40, 100)
	require.EqualValues(t, 20, f.v[0], "the best of the rest of the window")
	f.take(300, 50, 100)
	require.EqualValues(t, 50, f.v[0])
	f.take(301, 5, 100)
	require.EqualValues(t, 5, f.v[0])
}

func TestModelTimeoutIsLinux(t *testing.T) {
	lo, hi := int64(200*time.Millisecond), int64(120*time.Second)
	require.Equal(t, 1500*time.Millisecond*2, time.Duration(modelTimeout(3, lo, hi)), "tcp_retries1: 200 ms * (2^4 - 1)")
	require.Equal(t, 924600*time.Millisecond, time.Duration(modelTimeout(15, lo, hi)), "ip-sysctl: 924.6 seconds")
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// pushes are the numbers behind the segments that leave now with PSH.
func (r *sendRig) pushes() (ends []int) {
	r.s.train = train{} // as Output begins
	for {
		t, ok := r.s.next(r.now)
		if !ok {
			return ends
		}
		if t.psh {
			ends = append(ends, r.rel(t.end()))
		}
		r.s.sent(r.now, &t)
	}
}

// The last segment of a train of several has PSH, as that of a Linux host's TSO packet has.
func TestTrainEndsWithPSH(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(20500)
	require.Equal(t, []int{5001, 10001}, r.pushes(), "half of cwnd is a train while the rate is unknown")
	r.after(100 * ms)
	r.ack(1001)
	require.Equal(t, []int{12001}, r.pushes())
	r.after(ms)
	r.s.ssthresh = 1
	r.ack(2001)
	require.Empty(t, r.pushes(), "one segment is no train")
	r.after(ms)
	r.cwnd(100)
	require.Equal(t, []int{14001 + 1000, 16001 + 1000, 18001 + 1000, 20501}, r.pushes(), "at 2 ms of the rate, two by two")
}

// Segments of one train that are sent again together are one again; parts of two are not. sack-route-refresh-ip-tos.pkt
func TestTrainIsSentAgain(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(10000)
	require.Equal(t, []int{5001, 10001}, r.pushes())
	r.after(100 * ms)
	r.ack(1, 8001, 9001, 9001, 10001)
	require.Empty(t, r.pushes()) // the reordering window
	r.timer(27 * ms)
	r.cwnd(20)
	require.Equal(t, []int{5001}, r.pushes(), "the second train's last two have arrived")
}

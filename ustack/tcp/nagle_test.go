package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 9293 §3.7.4 with Minshall's change: only a small segment that is out holds the next small one back.
func TestNagle(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.write(10)
	r.sent(1, 1000, 1001, 10) // nothing small is out
	r.write(10)
	r.sent()
	r.write(5)
	r.sent()
	r.after(ms)
	r.ack(1011)
	r.sent(1011, 15) // the bytes gathered meanwhile leave together
}

func TestNoDelay(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(10)
	r.sent(1, 10)
	r.write(10)
	r.sent()
	r.s.setNoDelay(true)
	r.sent(11, 10) // what waits goes at once
	r.write(10)
	r.sent(21, 10)
}

// A cork holds a partial segment for 200 ms at most: tcp(7).
func TestCork(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.rtt.sample(r.p, 10*ms, r.s.una, r.s.nxt)
	r.s.setCork(true)
	r.write(1500)
	r.sent(1, 1000)
	r.after(ms)
	r.ack(1001)
	r.sent()
	r.write(300)
	r.sent()
	d := r.s.deadline() - r.now
	require.InDelta(t, 210*ms, d, float64(10*ms))
	r.timer(d)
	r.sent(1001, 800)
	r.after(ms)
	r.ack(1801)
	r.write(10)
	r.sent()
	r.s.setCork(false)
	r.sent(1801, 10)
}

func TestMsgMore(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.write(r.now, make([]byte, 10), writeMore)
	r.sent()
	require.False(t, r.s.q.tail.has(recPSH))
	r.write(10)
	r.sent(1, 20)
	r.s.write(r.now, make([]byte, 1000), writeMore)
	r.sent(21, 1000) // a full segment is not held
}

// A FIN takes what is queued along.
func TestFINIsNotHeld(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(10)
	r.flush()
	r.write(10)
	r.sent()
	r.s.queueFIN(r.now)
	r.sent(11, 11)
	require.Zero(t, r.write(1), "nothing behind a FIN")
	o := r.ack(22)
	require.True(t, o.finAcked)
	require.Equal(t, 20, o.acked)
	require.Zero(t, r.s.deadline())
}

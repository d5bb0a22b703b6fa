package tcp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// times are tcpi_busy_time, tcpi_rwnd_limited and tcpi_sndbuf_limited in milliseconds.
func (r *rig) times() (v [3]int) {
	b := r.infoBytes()
	for i := range v {
		v[i] = int(binary.NativeEndian.Uint64(b[infoBusyTime+8*i:])) / 1000
	}
	return v
}

func TestBusyTime(t *testing.T) {
	r := established(t)
	r.advance(time.Second)
	require.Equal(t, [3]int{}, r.times(), "nothing to send")
	r.write(1000)
	r.advance(100 * time.Millisecond)
	require.Equal(t, [3]int{100, 0, 0}, r.times(), "while it goes on, too")
	r.send(". 1:1(0) ack 1001")
	r.advance(time.Second)
	require.Equal(t, [3]int{100, 0, 0}, r.times())
}

func TestWindowLimitedTime(t *testing.T) {
	r := established(t)
	r.send("P. 1:11(10) ack 1")
	r.send("P. 11:21(10) ack 1 win 2000") // a window is taken back by a later segment only
	r.write(1000)
	r.write(3000) // less than a segment of it fits
	r.advance(50 * time.Millisecond)
	require.Equal(t, [3]int{50, 50, 0}, r.times())
	r.send(". 21:21(0) ack 1001 win 60000")
	r.advance(30 * time.Millisecond)
	require.Equal(t, [3]int{80, 50, 0}, r.times(), "the window opened; an ACK is still to come")
	r.send(". 21:21(0) ack 4001 win 60000")
	r.advance(time.Second)
	require.Equal(t, [3]int{80, 50, 0}, r.times())
}

// All that fitted is sent, and the program wants to write more.
func TestSendBufferLimitedTime(t *testing.T) {
	r := established(t)
	r.setopt(solSocket, soSndBuf, 3000)
	r.c.snd.maxWnd = 5840 // small packets of half a window: the buffer is looked at for each
	n, err := r.c.Write(r.now, [][]byte{make([]byte, 20000)}, 0)
	require.NoError(t, err)
	require.Less(t, n, 14600, "cwnd is not what holds it back")
	r.c.Output(r.now, r)
	r.advance(40 * time.Millisecond)
	require.Equal(t, [3]int{40, 0, 40}, r.times())
	require.Zero(t, r.c.OutQNSD())
	r.send(". 1:1(0) ack 4381")
	r.advance(10 * time.Millisecond)
	require.Equal(t, 40, r.times()[2], "there is room again")
}

// tcpi_delivered_ce: what ACKs with ECN-Echo delivered.
func TestDeliveredCE(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.ecn.ok = true
	r.write(10000)
	r.flush()
	r.ack(2001)
	r.ackWith(5001, func(in *ackIn) { in.ece = true })
	require.EqualValues(t, 6, r.s.rate.delivered)
	require.EqualValues(t, 3, r.s.rate.deliveredCE)
}

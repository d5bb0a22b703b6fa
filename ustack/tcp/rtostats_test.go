package tcp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timeouts are tcpi_total_rto, tcpi_total_rto_recoveries, and tcpi_total_rto_time in milliseconds.
func (r *rig) timeouts() (t [3]int) {
	r.t.Helper()
	var b [infoLen]byte
	_, err := r.c.Option(r.now, solTCP, tcpInfo, b[:])
	require.NoError(r.t, err)
	n := binary.NativeEndian
	return [3]int{int(n.Uint16(b[240:])), int(n.Uint16(b[242:])), int(n.Uint32(b[244:]))}
}

// TestInfoTellsOfTimeouts: two in a row are one recovery, whose time goes on until all is acknowledged; the next is another.
func TestInfoTellsOfTimeouts(t *testing.T) {
	r := established(t, func(p *Params) { p.EarlyRetrans = 0 })
	r.write(1460)
	r.want("P. 1:1461(1460) ack 1")
	require.Zero(t, r.timeouts())
	first := r.c.Deadline()
	r.now = first
	r.fire()
	r.now = r.c.Deadline()
	r.fire()
	r.out = nil
	r.now += 50 * ms
	spent := int((r.now - first) / ms)
	require.Equal(t, [3]int{2, 1, spent}, r.timeouts(), "one that goes on counts")
	r.send(". 1:1(0) ack 1461")
	r.now += 1000 * ms
	require.Equal(t, [3]int{2, 1, spent}, r.timeouts(), "it is over")
	r.write(1460)
	r.now = r.c.Deadline()
	r.fire()
	r.now += 7 * ms
	require.Equal(t, [3]int{3, 2, spent + 7}, r.timeouts())
}

// TestInfoTellsOfTheHandshakesTimeouts: those of a SYN and of a SYN-ACK count.
func TestInfoTellsOfTheHandshakesTimeouts(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.advance(2500 * time.Millisecond)
	r.out = nil
	r.send("S. 0:0(0) ack 1 <mss 1460>")
	require.Equal(t, [3]int{2, 1, 1500}, r.timeouts(), "an active open: SYNs again after one and two seconds")

	r = newRig(t)
	r.listen(1)
	r.send("S 0:0(0) <mss 1460>")
	r.want("S. 0:0(0) ack 1")
	r.advance(3500 * time.Millisecond)
	r.out = nil
	r.send(". 1:1(0) ack 1")
	require.Equal(t, [3]int{2, 1, 3500}, r.timeouts(), "a passive one, whose time is counted from the first SYN-ACK")
}

package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RFC 6069: the third timeout would be 800 ms; the router's message takes one doubling back, and counts from when the
// segment left.
func TestBackoffIsReverted(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.tsOK = false
	r.write(1000)
	r.sent(1, 1000)
	r.after(100 * ms)
	r.ack(1001)
	rto := r.s.rtt.rto
	r.s.sackOK = false // no tail loss probe
	r.write(1000)
	r.sent(1001, 1000)
	r.timer(rto)
	r.sent(1001, 1000)
	r.timer(2 * rto)
	r.sent(1001, 1000)
	r.after(100 * ms)
	r.s.revertBackoff(r.now, r.seq(1))
	require.EqualValues(t, 2, r.s.rtt.back, "another segment's")
	r.s.revertBackoff(r.now, r.seq(1001))
	require.EqualValues(t, 1, r.s.rtt.back)
	r.timer(2*rto - 100*ms) // it would have been 4 * rto
	r.sent(1001, 1000)
	r.after(3 * rto)
	r.s.revertBackoff(r.now, r.seq(1001))
	r.timer(1) // overdue
	r.sent(1001, 1000)
	r.ack(2001)
	back := r.s.rtt.back
	r.s.revertBackoff(r.now, r.seq(2001))
	require.Equal(t, back, r.s.rtt.back, "nothing is out")
}

// RFC 3168 §6.1.1.1, tcp_ecn_fallback.
func TestSecondSYNIsWithoutECN(t *testing.T) {
	ask := func(p *Params) { p.ECN = 1 }
	r := newRig(t, ask)
	r.dial(nil)
	r.want("SEW 0:0(0)")
	r.advance(time.Second)
	r.want("S 0:0(0)")
	r.send("SE. 0:0(0) ack 1") // the answer to the first one
	r.want(". 1:1(0) ack 1")
	require.True(t, r.c.is(flagECN))
	r = newRig(t, ask, func(p *Params) { p.ECNFallback = false })
	r.dial(nil)
	r.want("SEW 0:0(0)")
	r.advance(time.Second)
	r.want("SEW 0:0(0)")
}

// RFC 1191 §6.3: after ten minutes the larger size is tried again.
func TestPathMTUGrowsBack(t *testing.T) {
	r := established(t)
	r.write(1460)
	r.want("P. 1:1461(1460) ack 1")
	r.c.PathMTU(r.now, 1000, r.iss.Add(1), true)
	r.c.Output(r.now, r)
	r.want(". 1:961(960) ack 1")
	r.want("P. 961:1461(500) ack 1")
	r.send(". 1:1(0) ack 1461")
	r.advance(9 * time.Minute)
	r.write(1460)
	r.want(". 1461:2421(960) ack 1")
	r.send(". 1:1(0) ack 2421")
	r.want("P. 2421:2921(500) ack 1")
	r.send(". 1:1(0) ack 2921")
	r.advance(time.Minute)
	r.write(1460)
	r.want("P. 2921:4381(1460) ack 1")
}

// tcp_max_orphans: a connection for which there is no room is reset when the program closes it.
func TestOrphansAreBounded(t *testing.T) {
	r := established(t, func(p *Params) { p.MaxOrphans = 0 })
	r.write(10)
	r.want("P. 1:11(10) ack 1")
	r.close()
	r.want("R. 11:11(0) ack 1")
	require.True(t, r.c.Closed())
	require.Zero(t, r.h.Orphans())
	require.EqualValues(t, 1, r.h.MIB.TCPAbortOnMemory)
	// One that ICMP told bad things of counts twice when its timer goes off.
	r = established(t, func(p *Params) { p.MaxOrphans = 1 })
	r.write(10)
	r.want("P. 1:11(10) ack 1")
	r.c.SoftError(r.now, ErrHostUnreach, r.iss.Add(1), false)
	r.close()
	r.want("F. 11:11(0) ack 1")
	require.False(t, r.c.Closed())
	r.advance(time.Second)
	require.True(t, r.c.Closed())
	require.EqualValues(t, 1, r.h.MIB.TCPAbortOnMemory)
}

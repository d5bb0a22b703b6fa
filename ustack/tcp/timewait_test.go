package tcp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// --- FIN-WAIT-2 without a program, TIME-WAIT

func TestOrphanWaitsForFin(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpLinger2, 100)
	r.close()
	r.want("F. 1:1(0) ack 1")
	r.send(". 1:1(0) ack 2")
	require.Equal(t, FinWait2, r.c.State(), "the first 40 of 100 seconds need the connection")
	r.advance(41 * time.Second)
	require.True(t, r.c.Closed())
	require.Equal(t, 1, r.h.Waits.Len())
	r.advance(62 * time.Second)
	require.Zero(t, r.h.Waits.Len())
	r.wantIdle()
}

func TestNoLinger2(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpLinger2, -1)
	r.close()
	r.want("F. 1:1(0) ack 1")
	r.send(". 1:1(0) ack 2")
	r.want("R 2:2(0)") // tcp_rcv_state_process: "if (READ_ONCE(tp->linger2) < 0) { [...] return SKB_DROP_REASON_TCP_ABORT_ON_DATA"
	require.True(t, r.c.Closed())
	require.Zero(t, r.h.Waits.Len())
}

// timeWait is a rig whose connection is in TIME-WAIT: ours is at 2, the peer's at 2.
func timeWait(t *testing.T, change ...func(*Params)) *rig {
	r := established(t, change...)
	ts := ""
	if r.h.Params.Timestamps {
		ts = " <ts 100 1>"
	}
	r.close()
	r.want("F. 1:1(0) ack 1")
	r.send("F. 1:1(0) ack 2" + ts)
	r.want(". 2:2(0) ack 2")
	require.Equal(t, 1, r.h.Waits.Len())
	return r
}

func TestTimeWaitAcksFinAgain(t *testing.T) {
	r := timeWait(t)
	r.advance(59 * time.Second)
	r.send("F. 1:1(0) ack 2") // "Acknowledge it, and restart the 2 MSL timeout."
	r.want(". 2:2(0) ack 2")
	r.advance(59 * time.Second)
	require.Equal(t, 1, r.h.Waits.Len())
	r.advance(3 * time.Second)
	require.Zero(t, r.h.Waits.Len())
}

func TestTimeWaitTakesNewerSyn(t *testing.T) {
	// RFC 1122 §4.2.2.13, RFC 6191 §2
	r := timeWait(t)
	r.send("S 1:1(0) win 65535 <mss 1460>") // not newer: an old duplicate
	r.want(". 2:2(0) ack 2")
	r.send("S 70000:70000(0) win 65535 <mss 1460>")
	require.Zero(t, r.h.Waits.Len())
	r.want("S. 65539:65539(0) ack 70001") // larger than what the old connection used
	r.c, r.iss, r.irs = nil, r.iss.Add(65539), r.irs.Add(70000)
	r.send(". 1:1(0) ack 1")
	require.Equal(t, Established, r.c.State())
}

func TestTimeWaitTimestampDecides(t *testing.T) {
	r := timeWait(t, withTS)
	r.advance(time.Second)
	r.send("S 0:0(0) win 65535 <mss 1460,sackOK,ts 90 0,ws 7>")
	r.want(". 2:2(0) ack 2")
	r.advance(time.Second)
	r.send("S -9000:-9000(0) win 65535 <mss 1460,sackOK,ts 200 0,ws 7>") // smaller number, later clock
	require.Zero(t, r.h.Waits.Len())
	require.Equal(t, 1, r.l.HalfOpens())
}

func TestTimeWaitReuse(t *testing.T) {
	for reuse, busy := range map[int]bool{0: true, 1: false, 2: true} { // 2: on loopback only
		r := timeWait(t, withTS, func(p *Params) { p.TWReuse = reuse })
		require.True(t, r.h.Waits.Busy(r.now, &r.flow), "not within a second")
		r.now += 2e9
		require.Equal(t, busy, r.h.Waits.Busy(r.now, &r.flow))
	}
	r := timeWait(t, func(p *Params) { p.TWReuse = 1 })
	r.now += 2e9
	require.True(t, r.h.Waits.Busy(r.now, &r.flow), "without timestamps old segments cannot be told")
}

// tcp_tw_reuse: the next connection of the flow begins beyond all numbers of the old one, which is forgotten.
func TestReuseBeginsBeyondTheOldNumbers(t *testing.T) {
	r := timeWait(t, withTS, func(p *Params) { p.TWReuse, p.TWReuseDelay = 1, 5*time.Second })
	r.now += 4e9
	require.True(t, r.h.Waits.Busy(r.now, &r.flow), "tcp_tw_reuse_delay")
	r.now += 2e9
	old := r.h.Waits.recs[r.h.Waits.index[r.flow]].sndNxt
	c := Dial(r.now, r.h, r.flow, Path{1500}, nil)
	require.Equal(t, old.Add(65537), c.snd.iss)
	require.Zero(t, r.h.Waits.Len())
	require.EqualValues(t, 1, r.h.MIB.TWRecycled)
}

// RFC 1337 §3, fix F1: with tcp_rfc1337 resets are ignored in TIME-WAIT, and it begins anew as for any segment.
func TestTimeWaitIsNotAssassinated(t *testing.T) {
	r := timeWait(t, func(p *Params) { p.RFC1337 = true })
	r.advance(59 * time.Second)
	r.send("R 2:2(0)")
	r.wantIdle()
	r.advance(59 * time.Second)
	require.Equal(t, 1, r.h.Waits.Len())
	r.advance(2 * time.Second)
	require.Zero(t, r.h.Waits.Len())
}

func TestTimeWaitReset(t *testing.T) {
	r := timeWait(t)
	r.send("R 500:500(0)")
	require.Equal(t, 1, r.h.Waits.Len())
	r.send("R 2:2(0)")
	require.Zero(t, r.h.Waits.Len())
	r.wantIdle()
}

func TestTimeWaitsAreBounded(t *testing.T) {
	r := newRig(t, func(p *Params) { p.MaxTWBuckets = 10 })
	for i := range 20 {
		c := newConn(r.h, r.flow, Path{1500}, nil)
		c.Flow.Remote = addPort(c.Flow.Remote, i)
		c.rcvNxt = Seq(i)
		r.h.Waits.add(r.now, c, TimeWait, int64(i+1)*1e9)
	}
	require.Equal(t, 10, r.h.Waits.Len())
	require.EqualValues(t, 10, r.h.MIB.TCPTimeWaitOverflow)
	for i := range 10 {
		r.advance(time.Second)
		require.InDelta(t, 9-i, r.h.Waits.Len(), 1)
	}
	r.advance(2 * time.Second)
	require.Zero(t, r.h.Waits.Len())
	require.Zero(t, r.h.Waits.Deadline())
}

func addPort(a netip.AddrPort, n int) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()+uint16(n))
}

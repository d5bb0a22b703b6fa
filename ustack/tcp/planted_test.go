package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/wire"
)

// Rules that planted mistakes (tests/mutants) showed to be without a test of their own.

// "The window field in a segment where the SYN bit is set [...] MUST NOT be scaled" RFC 7323 §2.2.
func TestWindowOfSynAckIsNotScaled(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("S. 0:0(0) ack 1 win 1000 <mss 1460,sackOK,ws 7>")
	r.want(". 1:1(0) ack 1")
	require.EqualValues(t, 1000, r.c.snd.wnd)
	require.EqualValues(t, 1000, r.c.snd.maxWnd)
	r.send(". 1:1(0) ack 1 win 1000")
	require.EqualValues(t, 1000<<7, r.c.snd.wnd)
}

// A shift.cnt value larger than 14: "MUST use 14 instead of the specified value" RFC 7323 §2.3.
func TestWindowScaleAbove14(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("S. 0:0(0) ack 1 win 1000 <mss 1460,ws 200>")
	require.EqualValues(t, 14, r.c.sndScale)

	r = newRig(t)
	r.listen(1)
	r.send("S 0:0(0) win 1000 <mss 1460,ws 200>")
	r.want("S. 0:0(0) ack 1")
	r.send(". 1:1(0) ack 1 win 3")
	require.EqualValues(t, 14, r.c.sndScale)
	require.EqualValues(t, 3<<14, r.c.snd.wnd)
}

// An end that did not offer scaling, or SACK, does not use it, whatever the other end says.
func TestOptionsNotOfferedAreNotUsed(t *testing.T) {
	r := newRig(t, func(p *Params) { p.WindowScaling = false })
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("S. 0:0(0) ack 1 win 1000 <mss 1460,ws 7>")
	r.want(". 1:1(0) ack 1")
	r.send(". 1:1(0) ack 1 win 500")
	require.EqualValues(t, 500, r.c.snd.wnd)
	r.send("P. 101:201(100) ack 1")
	require.Len(t, r.out, 1, "a duplicate ACK")
	require.Zero(t, r.out[0].h.Opts.NSACK, "the SYN-ACK did not permit SACK")
}

// "Otherwise (no ACK), drop the segment and return." RFC 9293 §3.10.7.3
func TestResetWithoutAckInSynSent(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("R 0:0(0)")
	r.wantIdle()
	require.Equal(t, SynSent, r.c.State())
}

// What is not acceptable is answered, and nothing else of it counts: not even its ACK.
func TestNothingOfASegmentBeyondTheWindow(t *testing.T) {
	r := established(t)
	r.write(100)
	r.want("P. 1:101(100) ack 1")
	r.send(". 70000:70000(0) ack 101")
	r.want(". 101:101(0) ack 1")
	require.Equal(t, 100, r.c.OutQ())
	r.send(". 1:1(0) ack 101")
	require.Zero(t, r.c.OutQ())
}

// "SEG.ACK > SND.NXT": bytes that are queued and were never sent are not acknowledged either.
func TestAckOfTheQueued(t *testing.T) {
	r := newSendRig(t, 1000)
	r.cwnd(2)
	r.write(5000)
	r.sent(1, 1000, 1001, 1000)
	require.ErrorIs(t, r.ack(3001).err, errAckNew)
	require.NoError(t, r.ack(2001).err)
}

// Cookies are believed for two minutes after the SYN queue was full, and at no other time.
func TestCookieWithoutOverflow(t *testing.T) {
	k := newCrowd(t, 10)
	f := k.flow(3)
	cookie := MakeCookie(k.now, &k.h.secret, f.Local, f.Remote, 3000, 1460)
	require.Nil(t, k.ack(3, Header{Seq: cookie}, 0))
	require.True(t, k.sent(3)[0].Flags.Any(wire.RST))
}

// Karn: "RTT samples MUST NOT be made using segments that were retransmitted" RFC 6298 §3, and an ACK that covers one says
// nothing about those behind it, which waited for it.
func TestNoSampleBehindARetransmission(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.p.Timestamps = false })
	r.s.tsOK, r.s.sackOK = false, false
	r.write(1000)
	r.flush()
	r.after(50 * ms)
	r.ack(1001)
	was := r.s.rtt.srtt
	r.write(1000)
	r.sent(1001, 1000)
	r.now = r.s.deadline()
	r.s.onTimer(r.now)
	r.sent(1001, 1000)
	r.cwnd(2)
	r.write(1000)
	r.sent(2001, 1000)
	r.after(500 * ms)
	r.ack(3001)
	require.Equal(t, was, r.s.rtt.srtt)
}

// A segment is SACKed as a whole or not at all, and blocks of what was never sent are nothing. RFC 2018 §5
func TestSackOfPartsAndOfTheUnsent(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(4000)
	r.sent(1, 1000, 1001, 1000, 2001, 1000, 3001, 1000)
	r.after(10 * ms)
	r.ack(1, 1001, 1501)
	require.Zero(t, r.s.sb.sacked)
	r.ack(1, 2001, 9001)
	require.Zero(t, r.s.sb.sacked, "beyond SND.NXT")
	r.ack(1, 2501, 3501)
	require.Zero(t, r.s.sb.sacked)
	r.ack(1, 2001, 4001)
	require.EqualValues(t, 2, r.s.sb.sacked)
}

// With a buffer for more, the number of holes is what bounds reassembly.
func TestHolesAreBounded(t *testing.T) {
	r := established(t)
	r.c.win.buf = 1 << 30
	r.c.win.clamp = 1 << 20
	for i := range 400 {
		s := r.parse(". 3:4(1) ack 1")
		s.Seq = s.Seq.Add(2 * i)
		r.input(s)
		r.out = nil
	}
	require.LessOrEqual(t, len(r.c.ooo.runs), maxRuns)
}

// "If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK))": a segment that was overtaken does not set the
// window, however small it is there.
func TestStaleWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(2000)
	r.flush()
	r.after(ms)
	at := func(seq int, wnd uint32) func(*ackIn) {
		return func(in *ackIn) { in.seq, in.wnd, in.dataLen = Seq(seq), wnd, 10 }
	}
	r.ackWith(1001, at(500, 9000))
	require.EqualValues(t, 9000, r.s.wnd)
	r.ackWith(1001, at(400, 50_000))
	require.EqualValues(t, 9000, r.s.wnd, "older than the one before")
	r.ackWith(1001, at(500, 4000))
	require.EqualValues(t, 9000, r.s.wnd, "of the same number, and smaller")
	r.ackWith(1001, at(500, 20_000))
	require.EqualValues(t, 20_000, r.s.wnd)
}

// "TCP [...] should not react to congestion indications more than once every window of data" RFC 3168 §6.1.2.
func TestEcnOncePerWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.ecn.ok = true
	r.cwnd(100)
	r.s.ssthresh = 50
	r.write(200_000)
	for r.s.nxt.Sub(r.s.una) < 100_000 && r.flush() > 0 {
		r.write(100_000)
	}
	r.after(100 * ms)
	for acked := range 10 {
		r.ackWith(1001+1000*acked, func(in *ackIn) { in.ece = true })
		require.EqualValues(t, 85, r.s.ssthresh)
	}
}

// "MUST NOT set either ECT codepoint [...] in the IP header for retransmitted data packets" RFC 3168 §6.1.5.
func TestRetransmissionsAreNotECT(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.ecn.ok = true
	r.write(1000)
	s, ok := r.s.next(r.now)
	require.True(t, ok && s.ect)
	r.s.sent(r.now, &s)
	for range 3 {
		r.now = r.s.deadline()
		r.s.onTimer(r.now)
		s, ok = r.s.next(r.now)
		require.True(t, ok && s.rexmit && !s.ect)
		r.s.sent(r.now, &s)
	}
}

// LAST-ACK ends with the acknowledgment of our FIN and with nothing less.
func TestLastAckWaitsForItsAck(t *testing.T) {
	r := established(t)
	r.send("F. 1:1(0) ack 1")
	r.out = nil
	r.write(3000)
	r.close()
	require.Equal(t, LastAck, r.c.State())
	r.send(". 2:2(0) ack 1461")
	require.Equal(t, LastAck, r.c.State())
	r.send(". 2:2(0) ack 3001")
	require.Equal(t, LastAck, r.c.State())
	r.send(". 2:2(0) ack 3002")
	require.Equal(t, Closed, r.c.State())
}

// Timestamps that this end does not offer are nothing, even beside a valid cookie: the echo cannot hold options of ours.
func TestCookieBesideTimestampsNotOffered(t *testing.T) {
	k := newCrowd(t, 0, func(p *Params) { p.Timestamps, p.SYNCookies = false, 2 })
	k.syn(0)
	h := k.sent(0)[0]
	h.Opts.Set |= wire.HasTimestamp // so that the ACK brings one
	c := k.ack(0, h, 10)
	require.NotNil(t, c)
	require.False(t, c.is(flagTS) || c.is(flagWScale) || c.is(flagSACK))
}

// "once a new RTT measurement is obtained [...] may result in 'collapsing' RTO back down" RFC 6298 §5, at its end: until
// then it stays doubled.
func TestSampleEndsTheBackoff(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.tsOK, r.s.sackOK = false, false
	r.write(1000)
	r.flush()
	r.after(50 * ms)
	r.ack(1001)
	base := r.s.rto()
	r.write(1000)
	r.flush()
	for range 2 {
		r.now = r.s.deadline()
		r.s.onTimer(r.now)
		r.flush()
	}
	r.after(50 * ms)
	r.ack(2001)
	require.Greater(t, r.s.rto(), 3*base, "what was retransmitted tells nothing")
	r.write(1000)
	r.flush()
	r.after(50 * ms)
	r.ack(3001)
	require.InEpsilon(t, base, r.s.rto(), 0.1)
}

// "the delay MUST be less than 0.5 seconds" RFC 9293 §3.8.6.3 (MUST-40), however rarely data comes.
func TestDelayedAcksStayBelowHalfASecond(t *testing.T) {
	r := established(t)
	for i := range 60 {
		r.c.ack.quick, r.c.ack.pingpong = 0, true
		r.c.ack.ato, r.c.snd.rtt.srtt = second, 5*second
		r.send(fmt.Sprintf(". %d:%d(10) ack 1", 1+10*i, 11+10*i))
		if at := r.c.ack.at; at != 0 {
			require.Less(t, at-r.now, second/2)
		}
		r.advance(900 * time.Millisecond)
		r.out = nil
	}
}

// "RACK.reo_wnd_mult += 1" for a round trip with a D-SACK, once reordering was seen. RFC 8985 §6.2 step 4
func TestDsackWidensTheReorderingWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.rack.seen = true
	r.write(3000)
	r.flush()
	r.after(10 * ms)
	r.ack(2001, 1, 1001)
	require.EqualValues(t, 2, r.s.rack.steps)
}

// A frame that still waits in a ring is not written to: its retransmission waits, with a timer.
func TestRetransmissionWaitsForTheRing(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	r.s.q.head.buf.InFlight = true
	for r.s.q.head.flags&recLost == 0 {
		r.now = r.s.deadline()
		r.s.onTimer(r.now)
		r.sent()
	}
	require.LessOrEqual(t, r.s.deadline()-r.now, int64(2*ms))
	r.s.q.head.buf.InFlight = false
	r.now = r.s.deadline()
	r.s.onTimer(r.now)
	r.sent(1, 1000)
}

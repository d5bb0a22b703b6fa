package tcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func optInt(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(int32(v))) }

func (r *rig) setopt(level, name, v int) {
	r.t.Helper()
	require.NoError(r.t, r.c.SetOption(r.now, level, name, optInt(v)))
	r.c.Output(r.now, r)
}

func (r *rig) getopt(level, name int) int {
	r.t.Helper()
	var b [4]byte
	n, err := r.c.Option(r.now, level, name, b[:])
	require.NoError(r.t, err)
	require.Equal(r.t, 4, n)
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}

// --- RFC 5961

func TestResetMustBeExact(t *testing.T) {
	// "If the sequence number does not exactly match the next expected sequence number value, yet is within the current
	// receive window, TCP endpoints MUST send an acknowledgment (challenge ACK)"
	r := established(t)
	r.send("R 100:100(0)")
	r.want(". 1:1(0) ack 1")
	require.Equal(t, Established, r.c.State())
	r.send("R 70000:70000(0)") // "outside the current receive window [...] silently discard"
	r.wantIdle()
	r.send("R 1:1(0)")
	require.True(t, r.c.Closed())
}

func TestSynInSynchronizedState(t *testing.T) {
	// "MUST send a challenge ACK [...] irrespective of the sequence number" RFC 5961 §4.2
	r := established(t)
	r.send("S 5000:5000(0) win 65535 <mss 1460>")
	r.want(". 1:1(0) ack 1")
	r.send("S 900000:900000(0) win 65535 <mss 1460>") // throttled
	r.wantIdle()
	r.advance(time.Second)
	r.send("S. 900000:900000(0) ack 1")
	r.want(". 1:1(0) ack 1")
	require.Equal(t, Established, r.c.State())
}

func TestAckOfTheUnsent(t *testing.T) {
	// "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the segment, and return."
	r := established(t)
	r.send("P. 1:11(10) ack 500")
	r.want(". 1:1(0) ack 1")
	r.wantIdle()
	require.Zero(t, r.c.InQ())
}

func TestAckTooOld(t *testing.T) {
	r := established(t)
	r.send("P. 1:11(10) ack -70000")
	r.want(". 1:1(0) ack 1")
	require.Zero(t, r.c.InQ())
}

func TestChallengesOfTheHostAreLimited(t *testing.T) {
	r := established(t, func(p *Params) { p.ChallengeLimit = 10 })
	sent := 0
	for range 40 {
		r.c.oowAt = 0 // as if each were another connection
		r.send("R 100:100(0)")
		sent += len(r.out)
		r.out = nil
	}
	require.LessOrEqual(t, sent, 10)
	require.GreaterOrEqual(t, sent, 5)
}

func TestOutOfWindowAnswersAreLimited(t *testing.T) {
	r := established(t)
	r.send(". -100:-100(0) ack 1")
	r.want(". 1:1(0) ack 1")
	for range 10 {
		r.send(". -100:-100(0) ack 1")
	}
	r.wantIdle()
	require.EqualValues(t, 10, r.h.MIB.TCPACKSkippedSeq)
	r.advance(500 * time.Millisecond)
	r.send(". -100:-100(0) ack 1")
	r.want(". 1:1(0) ack 1")
}

func TestResetBehindSack(t *testing.T) {
	r := established(t)
	r.send(". 101:201(100) ack 1")
	r.want(". 1:1(0) ack 1")
	r.send("R 201:201(0)")
	require.True(t, r.c.Closed())
}

func TestResetAfterFin(t *testing.T) {
	r := established(t)
	r.send("F. 1:1(0) ack 1")
	r.send("R. 1:1(0) ack 1") // the peer numbers it as if the FIN did not count
	require.True(t, r.c.Closed())
	require.ErrorIs(t, r.c.TakeError(), ErrPipe)
}

func TestNoAckBit(t *testing.T) {
	r := established(t)
	r.send("P 1:11(10)")
	r.wantIdle()
	require.Zero(t, r.c.InQ())
}

// --- keep-alive

func TestKeepalive(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpKeepIdle, 10)
	r.setopt(solTCP, tcpKeepIntvl, 2)
	r.setopt(solTCP, tcpKeepCnt, 3)
	r.advance(time.Hour)
	r.wantIdle() // "keep-alives [...] MUST default to off"
	r.setopt(solSocket, soKeepAlive, 1)
	r.advance(10 * time.Second)
	r.want(". 0:0(0) ack 1")
	r.send(". 1:1(0) ack 1")
	r.advance(10*time.Second - time.Millisecond)
	r.wantIdle()
	for range 3 {
		r.advance(2 * time.Second)
		r.want(". 0:0(0) ack 1") // "SEG.SEQ = SND.NXT-1"
	}
	r.advance(2 * time.Second)
	r.want("R. 1:1(0) ack 1")
	require.True(t, r.c.Closed())
	require.ErrorIs(t, r.c.TakeError(), ErrTimeout)
}

func TestKeepaliveWaitsForData(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpKeepIdle, 1)
	r.setopt(solSocket, soKeepAlive, 1)
	r.advance(900 * time.Millisecond)
	r.write(10)
	r.want("P. 1:11(10) ack 1")
	r.advance(150 * time.Millisecond)
	r.wantIdle()
}

func TestPeersKeepaliveIsAnswered(t *testing.T) {
	r := established(t)
	r.advance(time.Hour)
	r.send(". 0:0(0) ack 1")
	r.want(". 1:1(0) ack 1")
	r.advance(time.Second)
	r.send(". 0:1(1) ack 1") // the old kind, with a byte
	r.want(". 1:1(0) ack 1")
	require.Zero(t, r.c.InQ())
}

func TestUserTimeoutEndsKeepalive(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpKeepIdle, 5)
	r.setopt(solTCP, tcpKeepIntvl, 5)
	r.setopt(solTCP, tcpUserTimeout, 8000)
	r.setopt(solSocket, soKeepAlive, 1)
	r.advance(5 * time.Second)
	r.want(". 0:0(0) ack 1")
	r.advance(5 * time.Second)
	r.want("R. 1:1(0) ack 1")
	require.True(t, r.c.Closed())
}

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

// --- ICMP

func TestIcmpWhileConnecting(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.c.SoftError(r.now, ErrHostUnreach, r.iss.Add(5000), false) // quotes nothing of ours
	require.Equal(t, SynSent, r.c.State())
	r.c.SoftError(r.now, ErrHostUnreach, r.iss, false)
	require.True(t, r.c.Closed())
	require.ErrorIs(t, r.c.TakeError(), ErrHostUnreach)
}

func TestIcmpIsWhatATimeoutTells(t *testing.T) {
	// "a TCP implementation MUST NOT abort the connection"
	r := established(t)
	r.write(10)
	r.want("P. 1:11(10) ack 1")
	r.c.SoftError(r.now, ErrHostUnreach, r.iss.Add(1), true)
	require.Equal(t, Established, r.c.State())
	r.advance(time.Hour)
	require.True(t, r.c.Closed())
	require.ErrorIs(t, r.c.TakeError(), ErrHostUnreach)
}

func TestPathMTUIsBelieved(t *testing.T) {
	r := established(t)
	r.write(1460)
	r.want("P. 1:1461(1460) ack 1")
	r.c.PathMTU(r.now, 1000, r.iss.Add(90000), true)
	require.Equal(t, 1460, r.c.snd.mss)
	r.c.PathMTU(r.now, 1000, r.iss.Add(1), true)
	require.Equal(t, 960, r.c.snd.mss)
	r.c.Output(r.now, r)
	r.want(". 1:961(960) ack 1")
	r.want("P. 961:1461(500) ack 1")
	r.c.PathMTU(r.now, 300, r.iss.Add(1), true)
	require.Equal(t, 512, r.c.snd.mss, "not below 552")
}

// --- options

func TestOptionsRoundTrip(t *testing.T) {
	r := established(t)
	for _, o := range []struct{ level, name, set, get int }{
		{solTCP, tcpNoDelay, 1, 1}, {solTCP, tcpCork, 1, 1}, {solTCP, tcpKeepIdle, 77, 77}, {solTCP, tcpKeepIntvl, 7, 7},
		{solTCP, tcpKeepCnt, 4, 4}, {solTCP, tcpSynCnt, 3, 3}, {solTCP, tcpLinger2, 30, 30}, {solTCP, tcpLinger2, -1, -1},
		{solTCP, tcpLinger2, 500, 60}, {solTCP, tcpDeferAccept, 5, 7}, {solTCP, tcpUserTimeout, 1500, 1500},
		{solTCP, tcpNotsentLowat, 16384, 16384}, {solSocket, soKeepAlive, 5, 1}, {solSocket, soOOBInline, 1, 1},
		{solSocket, soRcvLowat, 100, 100}, {solSocket, soRcvLowat, 0, 1}, {solSocket, soSndBuf, 50000, 100000},
		{solSocket, soSndBuf, 1, 4608}, {solSocket, soRcvBuf, 50000, 100000}, {solSocket, soRcvBuf, 1, 2304},
		{solSocket, soRcvBuf, -1, 8388608},
	} {
		r.setopt(o.level, o.name, o.set)
		require.Equal(t, o.get, r.getopt(o.level, o.name), fmt.Sprintf("level %d option %d set to %d", o.level, o.name, o.set))
	}
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpKeepIdle, optInt(0)), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpKeepCnt, optInt(128)), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpMaxSeg, optInt(10)), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, 9999, optInt(1)), ErrNoProtoOpt)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpNoDelay, []byte{1}), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpCongestion, []byte("vegas2")), ErrNoEnt)
	require.NoError(t, r.c.SetOption(r.now, solTCP, tcpCongestion, []byte("reno\x00")))
	var b [16]byte
	n, err := r.c.Option(r.now, solTCP, tcpCongestion, b[:])
	require.NoError(t, err)
	require.Equal(t, "reno", string(b[:4]))
	require.Equal(t, 16, n)
}

func TestAcceptedInheritsOptions(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	require.NoError(t, r.l.SetOption(r.now, solTCP, tcpNoDelay, optInt(1)))
	require.NoError(t, r.l.SetOption(r.now, solSocket, soKeepAlive, optInt(1)))
	require.NoError(t, r.l.SetOption(r.now, solSocket, soRcvBuf, optInt(20000)))
	r.send("S 0:0(0) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 1 win 18980 <mss 1460>")
	r.send(". 1:1(0) ack 1")
	require.Equal(t, 1, r.getopt(solTCP, tcpNoDelay))
	require.Equal(t, 1, r.getopt(solSocket, soKeepAlive))
	require.Equal(t, 40000, r.getopt(solSocket, soRcvBuf))
	require.NotZero(t, r.c.keepAt)
	r.setopt(solTCP, tcpNoDelay, 0)
	require.True(t, r.l.opt.NoDelay, "the listener keeps its own")
}

func TestInfo(t *testing.T) {
	r := established(t, withTS, func(p *Params) { p.WindowScaling = true })
	r.send("P. 1:101(100) ack 1 <ts 110 1>")
	r.write(1000)
	var b [256]byte
	n, err := r.c.Option(r.now, solTCP, tcpInfo, b[:])
	require.NoError(t, err)
	require.Equal(t, infoLen, n)
	u32 := func(at int) int { return int(binary.NativeEndian.Uint32(b[at:])) }
	require.EqualValues(t, Established, b[0])
	require.EqualValues(t, infoTimestamps|infoSACK|infoWScale, b[5])
	require.EqualValues(t, 7|10<<4, b[6])
	require.Equal(t, 1448, u32(16), "snd_mss")
	require.Equal(t, 1, u32(infoUnacked))
	require.Equal(t, 1500, u32(infoPMTU))
	require.Equal(t, 10, u32(80), "snd_cwnd")
	require.EqualValues(t, 100, binary.NativeEndian.Uint64(b[128:]), "bytes_received")
	require.EqualValues(t, 1000, binary.NativeEndian.Uint64(b[200:]), "bytes_sent")
}

func addPort(a netip.AddrPort, n int) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()+uint16(n))
}

package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// --- RFC 5961

func TestResetMustBeExact(t *testing.T) {
	// "the sequence number does not exactly match the next expected sequence value, yet is within the current receive
	// window, TCP endpoints MUST send an acknowledgment (challenge ACK)"
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
	// "irrespective of the sequence number, TCP MUST send an ACK (also referred to as challenge ACK)" RFC 5961 §4.2
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

// tcp_invalid_ratelimit 0 limits nothing: each is answered.
func TestAnswersWithoutLimit(t *testing.T) {
	r := established(t, func(p *Params) { p.InvalidLimit = 0 })
	for range 3 {
		r.send(". -100:-100(0) ack 1")
		r.want(". 1:1(0) ack 1")
		r.send(". 1:1(0) ack 2") // of the unsent: a challenge
		r.want(". 1:1(0) ack 1")
	}
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

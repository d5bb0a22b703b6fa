package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// --- CLOSED -> SYN-SENT

func TestActiveOpen(t *testing.T) {
	r := newRig(t, withTS)
	r.dial(nil)
	r.want("S 0:0(0) win 64240 <mss 1460,sackOK,ts 0 0,ws 10>")
	r.send("S. 0:0(0) ack 1 win 28960 <mss 1400,sackOK,ts 500 0,ws 7>")
	r.want(". 1:1(0) ack 1 win 63 <ts 0 500>")
	r.wantIdle()
	require.Equal(t, Established, r.c.State())
	require.Equal(t, 1400-12, r.c.snd.mss)
	require.NotZero(t, r.in, "connect(2) must be woken")
}

func TestSynIsRepeated(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.advance(time.Second)
	r.want("S 0:0(0)")
	r.advance(10 * time.Minute)
	require.Equal(t, Closed, r.c.State())
	require.ErrorIs(t, r.c.TakeError(), ErrTimeout)
}

func TestSynSentRefused(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("R. 0:0(0) ack 1")
	r.wantIdle()
	require.Equal(t, Closed, r.c.State())
	require.ErrorIs(t, r.c.TakeError(), ErrRefused)
}

func TestSynSentBadAck(t *testing.T) {
	// "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset [...] and discard the segment."
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("S. 0:0(0) ack 7")
	r.want("R 7:7(0)")
	r.send("R. 0:0(0) ack 7") // a reset that acknowledges nothing of ours is no answer to our SYN
	r.wantIdle()
	require.Equal(t, SynSent, r.c.State())
}

func TestSimultaneousOpen(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("S 0:0(0) win 1000 <mss 1460,sackOK>")
	r.want("S. 0:0(0) ack 1")
	require.Equal(t, SynReceived, r.c.State())
	r.send("S. 0:0(0) ack 1 win 1000 <mss 1460,sackOK>")
	require.Equal(t, Established, r.c.State())
	r.send("P. 1:11(10) ack 1")
	r.read(1, 10)
}

// --- LISTEN, SYN-RECEIVED

func TestPassiveOpen(t *testing.T) {
	r := newRig(t, withTS)
	r.listen(1)
	r.send("S 0:0(0) win 65535 <mss 1460,sackOK,ts 100 0,ws 7>")
	r.want("S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,ts 0 100,ws 10>")
	require.Equal(t, 1, r.l.HalfOpen(1, 0))
	r.send("P. 1:101(100) ack 1 win 512 <ts 101 0>")
	require.Equal(t, r.c, r.l.Accept(r.now))
	r.want(". 1:1(0) ack 101")
	r.read(1, 100)
	require.Equal(t, 512<<7, int(r.c.snd.wnd))
}

func TestListenAnswersStrayAck(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	r.send(". 1:1(0) ack 77")
	r.want("R 77:77(0)")
	r.send("R 1:1(0)")
	r.wantIdle()
}

func TestSynAckIsRepeated(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	r.send("S 0:0(0) <mss 1460>")
	r.want("S. 0:0(0) ack 1")
	for _, wait := range []time.Duration{1, 2, 4, 8, 16} {
		r.advance(wait*time.Second - time.Millisecond)
		r.wantIdle()
		r.advance(time.Millisecond)
		r.want("S. 0:0(0) ack 1")
	}
	r.advance(32 * time.Second)
	r.wantIdle()
	require.Zero(t, r.l.HalfOpens())
}

func TestSynSentAgainIsAnswered(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	r.send("S 0:0(0) <mss 1460>")
	r.want("S. 0:0(0) ack 1")
	r.send("S 0:0(0) <mss 1460>")
	r.want("S. 0:0(0) ack 1")
	r.send("S 0:0(0) <mss 1460>") // at most two a second
	r.wantIdle()
}

func TestSynReceivedReset(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	r.send("S 0:0(0) <mss 1460>")
	r.want("S. 0:0(0) ack 1")
	r.send("R 5000000:5000000(0)") // outside of the window: ignored
	require.Equal(t, 1, r.l.HalfOpens())
	r.send("R 1:1(0)")
	r.wantIdle()
	require.Zero(t, r.l.HalfOpens())
}

// --- ESTABLISHED -> the ways out

func TestActiveClose(t *testing.T) {
	r := established(t)
	r.close()
	r.want("F. 1:1(0) ack 1")
	require.Equal(t, FinWait1, r.c.State())
	r.send(". 1:1(0) ack 2")
	require.True(t, r.c.Closed(), "FIN-WAIT-2 without a program is a small record")
	require.Equal(t, 1, r.h.Waits.Len())
	r.send("F. 1:1(0) ack 2")
	r.want(". 2:2(0) ack 2")
	r.send("F. 1:1(0) ack 2") // our ACK got lost
	r.want(". 2:2(0) ack 2")
	r.advance(61 * time.Second)
	require.Zero(t, r.h.Waits.Len())
	r.wantIdle()
	require.Zero(t, r.h.Orphans())
}

func TestHalfClose(t *testing.T) {
	r := established(t)
	r.shutdown(shutWR)
	r.want("F. 1:1(0) ack 1")
	r.send(". 1:1(0) ack 2")
	require.Equal(t, FinWait2, r.c.State())
	r.send("P. 1:101(100) ack 2")
	r.want(". 2:2(0) ack 101")
	r.read(1, 100)
	r.send("F. 101:101(0) ack 2")
	r.want(". 2:2(0) ack 102")
	require.True(t, r.c.Closed())
	r.readEOF()
	r.close()
	r.wantIdle()
}

func TestPassiveClose(t *testing.T) {
	r := established(t)
	r.send("F. 1:1(0) ack 1")
	r.wantIdle() // the program is expected to close
	r.advance(40 * time.Millisecond)
	r.want(". 1:1(0) ack 2")
	require.Equal(t, CloseWait, r.c.State())
	r.readEOF()
	r.write(10)
	r.want("P. 1:11(10) ack 2")
	r.close()
	r.want("F. 11:11(0) ack 2")
	require.Equal(t, LastAck, r.c.State())
	r.send(". 2:2(0) ack 12")
	require.True(t, r.c.Closed())
	require.Zero(t, r.h.Waits.Len())
}

func TestSimultaneousClose(t *testing.T) {
	r := established(t)
	r.close()
	r.want("F. 1:1(0) ack 1")
	r.send("F. 1:1(0) ack 1")
	r.want(". 2:2(0) ack 2")
	require.Equal(t, Closing, r.c.State())
	r.send(". 2:2(0) ack 2")
	require.True(t, r.c.Closed())
	require.Equal(t, 1, r.h.Waits.Len())
}

func TestFinWithAckOfOurs(t *testing.T) {
	r := established(t)
	r.shutdown(shutWR)
	r.want("F. 1:1(0) ack 1")
	r.send("F. 1:1(0) ack 2")
	r.want(". 2:2(0) ack 2")
	require.True(t, r.c.Closed())
	require.Equal(t, 1, r.h.Waits.Len())
}

func TestDataAfterCloseIsReset(t *testing.T) {
	// "if new data is received after CLOSE is called, its TCP SHOULD send a RST to show that data was lost." RFC 1122
	r := established(t)
	r.close()
	r.want("F. 1:1(0) ack 1")
	r.send("P. 1:11(10) ack 1")
	r.want("R 1:1(0)")
	require.True(t, r.c.Closed())
}

func TestCloseWithUnreadDataResets(t *testing.T) {
	r := established(t)
	r.send("P. 1:11(10) ack 1")
	r.want(". 1:1(0) ack 11")
	r.close()
	r.want("R. 1:1(0) ack 11")
	require.True(t, r.c.Closed())
	require.Equal(t, rigFrames, r.pool.Free())
}

func TestLingerZeroResets(t *testing.T) {
	r := established(t)
	require.NoError(t, r.c.SetOption(r.now, solSocket, soLinger, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
	r.close()
	r.want("R. 1:1(0) ack 1")
	require.True(t, r.c.Closed())
}

func TestReset(t *testing.T) {
	r := established(t)
	r.send("P. 1:11(10) ack 1")
	r.want(". 1:1(0) ack 11")
	r.send("R. 11:11(0) ack 1")
	require.True(t, r.c.Closed())
	r.read(1, 10)
	r.readErr(ErrReset)
	r.readEOF() // as Linux: tcp_done has shut both directions
	_, err := r.c.Write(r.now, [][]byte{{1}}, 0)
	require.ErrorIs(t, err, ErrPipe)
	r.wantIdle()
}

func TestFinBeforeData(t *testing.T) {
	r := established(t)
	r.send("FP. 11:21(10) ack 1")
	r.want(". 1:1(0) ack 1 <sack 11:22>")
	r.send("P. 1:11(10) ack 1")
	r.want(". 1:1(0) ack 22")
	require.Equal(t, CloseWait, r.c.State())
	r.read(1, 20)
	r.readEOF()
	require.Equal(t, rigFrames, r.pool.Free())
}

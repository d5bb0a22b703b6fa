package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/pbuf"
)

// --- in order, acknowledgments

func TestQuickAcksAtFirst(t *testing.T) {
	r := established(t)
	for i := range 4 {
		r.send(fmt.Sprintf("P. %d:%d(100) ack 1", 1+100*i, 101+100*i))
		r.want(fmt.Sprintf(". 1:1(0) ack %d", 101+100*i))
	}
	r.read(1, 400)
}

func TestDelayedAckIsLate(t *testing.T) {
	r := established(t)
	r.interactive()
	r.send("P. 1:101(100) ack 1")
	r.wantIdle()
	r.advance(39 * time.Millisecond)
	r.wantIdle()
	r.advance(time.Millisecond)
	r.want(". 1:1(0) ack 101")
	r.advance(time.Minute)
	r.wantIdle()
}

func TestDataCarriesTheAck(t *testing.T) {
	r := established(t)
	r.interactive()
	r.send("P. 1:101(100) ack 1")
	r.write(50)
	r.want("P. 1:51(50) ack 101")
	r.advance(20 * time.Millisecond)
	r.wantIdle()
	require.True(t, r.c.ack.pingpong)
}

func TestEverySecondFullSegment(t *testing.T) {
	// "an ACK SHOULD be generated for at least every second full-sized segment" RFC 9293 §3.8.6.3
	r := established(t)
	r.interactive()
	r.c.ack.rcvMSS = 1000
	r.send(". 1:1001(1000) ack 1")
	r.read(1, 1000)
	r.wantIdle()
	r.send(". 1001:2001(1000) ack 1")
	r.want(". 1:1(0) ack 2001")
	r.read(1001, 1000)
	r.send(". 2001:3001(1000) ack 1")
	r.wantIdle()
}

func TestBatchIsAcknowledgedOnce(t *testing.T) {
	r := established(t)
	r.c.ack.rcvMSS = 1000
	for i := range 10 {
		s := r.parse(fmt.Sprintf(". %d:%d(1000) ack 1", 1+1000*i, 1001+1000*i))
		r.c.Input(r.now, s, r)
		s.Buf.Release()
	}
	r.c.Output(r.now, r)
	r.want(". 1:1(0) ack 10001")
	r.wantIdle()
}

func TestReadingEmptyAfterPushAcks(t *testing.T) {
	r := established(t)
	r.interactive()
	r.send("P. 1:101(100) ack 1")
	r.send("P. 101:201(100) ack 1")
	r.wantIdle()
	r.read(1, 200)
	r.want(". 1:1(0) ack 201")
}

// --- out of order

func TestHoleIsReportedAndFilled(t *testing.T) {
	// "A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order segment arrives" RFC 5681 §4.2
	r := established(t)
	r.interactive()
	r.send(". 1001:2001(1000) ack 1")
	r.want(". 1:1(0) ack 1 <sack 1001:2001>")
	r.send(". 2001:3001(1000) ack 1")
	r.want(". 1:1(0) ack 1 <sack 1001:3001>")
	r.send(". 1:1001(1000) ack 1")
	r.want(". 1:1(0) ack 3001 <>")
	r.read(1, 3000)
	require.Nil(t, r.c.ooo)
}

func TestSackOrderIsNewestFirst(t *testing.T) {
	// "The first SACK block [...] MUST specify the contiguous block of data containing the segment which triggered this ACK"
	// RFC 2018 §4
	r := established(t, func(p *Params) { p.CompSackNr = 0 })
	r.send(". 1001:1101(100) ack 1")
	r.want(". 1:1(0) ack 1 <sack 1001:1101>")
	r.send(". 3001:3101(100) ack 1")
	r.want(". 1:1(0) ack 1 <sack 3001:3101 1001:1101>")
	r.send(". 2001:2101(100) ack 1")
	r.want(". 1:1(0) ack 1 <sack 2001:2101 3001:3101 1001:1101>")
	r.send(". 3101:3201(100) ack 1")
	r.want(". 1:1(0) ack 1 <sack 3001:3201 2001:2101 1001:1101>")
	r.send(". 5001:5101(100) ack 1")
	r.want(". 1:1(0) ack 1 <sack 5001:5101 3001:3201 2001:2101 1001:1101>")
	r.send(". 7001:7101(100) ack 1")
	r.want(". 1:1(0) ack 1 <sack 7001:7101 5001:5101 3001:3201 2001:2101>")
	r.send(". 1101:2001(900) ack 1")
	r.want(". 1:1(0) ack 1 <sack 1001:2101 7001:7101 5001:5101 3001:3201>")
}

func TestDuplicateIsReported(t *testing.T) {
	// RFC 2883 §4: "the first block of the SACK option should be a D-SACK block"
	r := established(t)
	r.send("P. 1:101(100) ack 1")
	r.want(". 1:1(0) ack 101")
	r.send("P. 1:101(100) ack 1")
	r.want(". 1:1(0) ack 101 <sack 1:101>")
	r.send(". 201:301(100) ack 1")
	r.want(". 1:1(0) ack 101 <sack 201:301>")
	r.send(". 201:301(100) ack 1")
	r.want(". 1:1(0) ack 101 <sack 201:301 201:301>")
	r.send(". 251:351(100) ack 1")
	r.want(". 1:1(0) ack 101 <sack 251:301 201:351>")
	r.send(". 51:201(150) ack 1")
	r.want(". 1:1(0) ack 351 <sack 51:101>")
	r.read(1, 350)
}

// Seed 164398 of tests/sim: the ACK had to wait, and another run became the one that changed last.
func TestDuplicateIsReportedBesideItsRun(t *testing.T) {
	r := established(t)
	r.send(". 201:401(200) ack 1")
	r.out = nil
	r.full = true
	r.send(". 251:351(100) ack 1")
	r.send(". 501:601(100) ack 1")
	r.full = false
	r.c.Output(r.now, r)
	r.want(". 1:1(0) ack 1 <sack 251:351 201:401 501:601>")
}

func TestNoSackForWhoDidNotAsk(t *testing.T) {
	r := established(t, func(p *Params) { p.SACK = false })
	r.send(". 101:201(100) ack 1")
	r.want(". 1:1(0) ack 1 <>")
}

func TestOverlapsComeOutRight(t *testing.T) {
	// All ways in which ten pieces of ten bytes can overlap by sizes 1 to 4, in a fixed scramble of orders.
	x := uint32(1)
	next := func(n int) int { x = x*1664525 + 1013904223; return int(x>>16) % n }
	for range 60 {
		r := established(t)
		const all = 100
		for r.c.rcvNxt.Sub(r.irs) < all+1 {
			from := next(all)
			n := min(1+next(30), all-from)
			r.send(fmt.Sprintf(". %d:%d(%d) ack 1", 1+from, 1+from+n, n))
			r.out = nil
		}
		r.read(1, all)
		require.Nil(t, r.c.ooo)
		require.Equal(t, rigFrames, r.pool.Free())
	}
}

func TestReassemblyIsBounded(t *testing.T) {
	r := established(t)
	for i := range 2000 { // every second byte: nothing but holes
		r.send(fmt.Sprintf(". %d:%d(1) ack 1", 3+2*i, 4+2*i))
		r.out = nil
	}
	require.LessOrEqual(t, len(r.c.ooo.runs), maxRuns)
	require.NotZero(t, r.h.MIB.TCPOFODrop)
	r.send(". 1:5001(5000) ack 1") // larger than a frame can be, but never mind
	r.send("R. 5001:5001(0) ack 1")
	r.out = nil
	r.c.Close(r.now)
	require.Equal(t, rigFrames, r.pool.Free())
}

// --- window

func TestWindowCloses(t *testing.T) {
	r := established(t)
	sent := 0
	for sent < 65535 {
		n := min(1460, r.c.offered(), 65535-sent)
		if n <= 0 {
			break
		}
		r.send(fmt.Sprintf(". %d:%d(%d) ack 1", 1+sent, 1+sent+n, n))
		sent += n
		r.advance(300 * time.Millisecond)
	}
	require.Zero(t, r.c.offered())
	last := r.out[len(r.out)-1]
	require.Zero(t, last.h.Wnd)
	r.out = nil
	// A zero-window probe is answered but not taken.
	r.send(fmt.Sprintf(". %d:%d(1) ack 1", 1+sent, 2+sent))
	r.want(fmt.Sprintf(". 1:1(0) ack %d win 0", 1+sent))
	// Reading a little is no reason to say so: "SWS avoidance algorithm for the receiver" RFC 9293 §3.8.6.2.2
	r.read(1, 1000)
	r.wantIdle()
	r.read(1001, 4000)
	r.want(fmt.Sprintf(". 1:1(0) ack %d win %d", 1+sent, r.c.rcvWnd))
	require.GreaterOrEqual(t, int(r.c.rcvWnd), 1460)
}

// TestNoRoomClosesTheWindow: tcp_data_queue drops what there is no memory for and tells a window of zero, so that the sender probes and does not
// repeat it over and over; reading opens it again.
func TestNoRoomClosesTheWindow(t *testing.T) {
	r := established(t)
	r.send("P. 1:1001(1000) ack 1")
	r.want(". 1:1(0) ack 1001")
	var held []*pbuf.Buf
	for !r.c.starved() {
		held = append(held, r.pool.Get())
	}
	r.send("P. 1001:2001(1000) ack 1")
	r.want(". 1:1(0) ack 1001 win 0")
	require.EqualValues(t, 1, r.h.MIB.TCPRcvQDrop)
	require.Zero(t, r.c.offered())
	for _, b := range held {
		b.Release()
	}
	r.send(". 1001:1002(1) ack 1") // the sender probes, and there is room again
	r.want(fmt.Sprintf(". 1:1(0) ack 1001 win %d", r.c.rcvWnd))
	require.Greater(t, r.c.offered(), 60000)
	r.send("P. 1001:2001(1000) ack 1")
	r.want(". 1:1(0) ack 2001")
	r.read(1, 2000)
}

func TestWindowFollowsTheProgram(t *testing.T) {
	// A program that reads all it gets, and a sender that fills the window each round trip of 10 ms: the window grows.
	r := established(t, withTS, func(p *Params) { p.WindowScaling = true })
	seq := 1
	first := r.c.offered()
	for range 12 {
		wnd := r.c.offered()
		sentAt := (r.now - 1e12) / int64(time.Millisecond)
		r.advance(10 * time.Millisecond)
		for n := 0; n+1448 <= wnd; n += 1448 {
			r.send(fmt.Sprintf(". %d:%d(1448) ack 1 <ts %d %d>", seq, seq+1448, 100+sentAt, max(sentAt, 1)))
			r.read(seq, 1448)
			seq += 1448
		}
		r.out = nil
	}
	require.Greater(t, r.c.offered(), 8*first)
	require.LessOrEqual(t, r.c.win.buf, r.h.Params.Rmem[2])
}

func TestSmallSegmentsShareFrames(t *testing.T) {
	r := established(t)
	for i := range 1000 {
		r.send(fmt.Sprintf("P. %d:%d(1) ack 1", 1+i, 2+i))
	}
	require.Less(t, int(r.c.rq.frames), 4)
	r.read(1, 1000)
}

// --- PAWS

func TestOldTimestampIsDropped(t *testing.T) {
	r := established(t, withTS)
	r.send("P. 1:101(100) ack 1 <ts 1000 1>")
	r.want(". 1:1(0) ack 101 <ts 0 1000>")
	r.send("P. 101:201(100) ack 1 <ts 900 1>")
	r.want(". 1:1(0) ack 101")
	require.EqualValues(t, 1, r.h.MIB.PAWSEstab)
	r.send("R. 101:101(0) ack 1 <ts 900 1>") // "and if the RST bit is not set" RFC 7323 §5.3
	require.True(t, r.c.Closed())
}

func TestTimestampOfTheFirstUnacked(t *testing.T) {
	// "when delayed ACKs are in use, the receiver SHOULD reply with the TSval field from the earliest unacknowledged segment" RFC 7323 §4.3
	r := established(t, withTS)
	r.interactive()
	r.send("P. 1:101(100) ack 1 <ts 200 1>")
	r.send("P. 101:201(100) ack 1 <ts 300 1>")
	r.advance(200 * time.Millisecond)
	r.want(". 1:1(0) ack 201 <ts 40 200>")
}

func TestIdle24DaysEndsPAWS(t *testing.T) {
	r := established(t, withTS)
	r.send("P. 1:101(100) ack 1 <ts 1000 1>")
	r.want(". 1:1(0) ack 101")
	r.now += 25 * 24 * int64(time.Hour)
	r.send("P. 101:201(100) ack 1 <ts 900 1>")
	r.want(". 1:1(0) ack 201")
}

// --- urgent data

func TestUrgentByteIsTakenOut(t *testing.T) {
	r := established(t)
	r.send("PU. 1:11(10) ack 1 urg 5") // the fifth byte
	r.want(". 1:1(0) ack 11")
	require.NotZero(t, r.c.Poll()&pollPri)
	require.Equal(t, 4, r.c.InQ())
	r.read(1, 4)
	require.True(t, r.c.AtMark())
	b := make([]byte, 10)
	n, info, err := r.c.Read(r.now, [][]byte{b}, msgOOB)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, msgOOB, info.Flags)
	require.Equal(t, pattern(5, 1), b[:1])
	_, _, err = r.c.Read(r.now, [][]byte{b}, msgOOB)
	require.ErrorIs(t, err, ErrInval)
	r.read(6, 5)
	require.False(t, r.c.AtMark())
}

func TestUrgentInline(t *testing.T) {
	r := established(t)
	require.NoError(t, r.c.SetOption(r.now, solSocket, soOOBInline, []byte{1, 0, 0, 0}))
	r.send("PU. 1:11(10) ack 1 urg 5")
	r.read(1, 4) // a read stops in front of it
	require.True(t, r.c.AtMark())
	r.read(5, 6)
}

func TestUrgentIsSent(t *testing.T) {
	r := established(t)
	n, err := r.c.Write(r.now, [][]byte{pattern(0, 5)}, msgOOB)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	r.c.Output(r.now, r)
	r.want("P.U 1:6(5) ack 1 urg 5")
	r.send(". 1:1(0) ack 6")
	r.write(5)
	r.want("P. 6:11(5) ack 1")
}

// --- reading

func TestPeekAndTrunc(t *testing.T) {
	r := established(t)
	r.send("P. 1:101(100) ack 1")
	b := make([]byte, 60)
	n, _, err := r.c.Read(r.now, [][]byte{b[:20], b[20:]}, msgPeek)
	require.NoError(t, err)
	require.Equal(t, 60, n)
	require.Equal(t, pattern(1, 60), b)
	n, _, err = r.c.Read(r.now, [][]byte{make([]byte, 50)}, msgTrunc)
	require.NoError(t, err)
	require.Equal(t, 50, n)
	r.read(51, 50)
	r.readErr(ErrAgain)
}

// --- memory

func TestReceivingAllocatesNothing(t *testing.T) {
	r := established(t)
	s := r.parse(". 1:1001(1000) ack 1")
	buf := make([]byte, 1000)
	iov := [][]byte{buf}
	sink := nullOut{}
	allocs := testing.AllocsPerRun(1000, func() {
		s.Seq = r.c.rcvNxt
		s.Buf.Start = 310
		s.Buf.End = 1310
		s.Buf.Next = nil
		r.c.Input(r.now, s, sink)
		r.c.Output(r.now, sink)
		r.c.Read(r.now, iov, 0)
		r.c.Output(r.now, sink)
		r.now += 1e5
	})
	require.Zero(t, allocs)
}

type nullOut struct{}

func (nullOut) Segment(*Conn, *Header, *pbuf.Buf, int, int) bool { return true }
func (nullOut) Reply(*Flow, *Header) bool                        { return true }

// tcp_rcv_big_endseq.pkt: SO_RCVBUF before the handshake bounds the window for good, and with it the shift.
func TestSmallBufferNeedsNoShift(t *testing.T) {
	o := Options{RcvBuf: 40000}
	require.Equal(t, 20000, o.firstClamp())
	wnd, scale := firstWindow(o.RcvBuf, o.firstClamp(), 1460, true, 32<<20)
	require.Equal(t, 18980, wnd)
	require.Zero(t, scale)
	o.WindowClamp = 5000
	require.Equal(t, 5000, o.firstClamp())
	o = Options{}
	require.Zero(t, o.firstClamp())
}

package tcp

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// move takes the rig's connection through a snapshot into a new one.
func (r *rig) move() *Snapshot {
	r.t.Helper()
	s, err := r.c.Freeze(r.now)
	require.NoError(r.t, err)
	r.send("P. 900:910(10) ack 1") // while it moves nothing is taken
	r.wantIdle()
	r.c.Forget(r.now)
	r.c.Output(r.now, r)
	r.wantIdle()
	require.Equal(r.t, rigFrames, r.pool.Free())
	c, err := Adopt(r.now, r.h, s, Path{r.mtu})
	require.NoError(r.t, err)
	r.c = c
	c.Owner = r
	c.Output(r.now, r)
	return s
}

func TestMoveWithFullQueues(t *testing.T) {
	r := established(t, withTS, func(p *Params) { p.WindowScaling = true })
	r.send("P. 1:101(100) ack 1 win 100 <ts 110 1>")
	r.send("P. 101:201(100) ack 1 win 100 <ts 110 1>")
	r.read(1, 50)
	r.write(20000)
	r.advance(5 * time.Millisecond)
	r.out = nil
	s := r.move()
	require.Len(t, s.Unread, 150)
	require.Equal(t, pattern(51, 150), s.Unread)
	require.Equal(t, pattern(0, 20000), append(s.Unacked, s.Unsent...))
	require.Equal(t, s.SndNxt.Sub(s.SndUna), len(s.Unacked))
	require.EqualValues(t, 1460, s.MSS)
	require.Equal(t, uint32(110), s.TSRecent)
	require.Equal(t, 100<<7, int(s.SndWnd))
	r.read(51, 150)
	r.out = nil
	// What was in flight is acknowledged, the rest goes out.
	r.send(fmt.Sprintf(". 201:201(0) ack %d win 100 <ts 120 5>", s.SndNxt.Sub(r.iss)))
	require.NotEmpty(t, r.out)
	got := 0
	for _, o := range r.out {
		require.True(t, bytes.Equal(pattern(o.h.Seq-r.iss-1, len(o.data)), o.data))
		got += len(o.data)
	}
	require.Positive(t, got)
	require.EqualValues(t, 5, r.out[0].h.Opts.TSVal-r.tsOff(), "the clock goes on")
}

func TestMoveInCloseWait(t *testing.T) {
	r := established(t)
	r.send("FP. 1:11(10) ack 1")
	r.out = nil
	s := r.move()
	require.True(t, s.FINReceived)
	require.Equal(t, CloseWait, r.c.State())
	require.NotZero(t, r.c.Poll()&pollRdHup, "who polls must learn of the end")
	r.read(1, 10)
	r.readEOF()
	r.write(10)
	r.want("P. 1:11(10) ack 12")
	r.close()
	r.want("F. 11:11(0) ack 12")
	r.send(". 12:12(0) ack 12")
	require.True(t, r.c.Closed())
}

func TestMoveInFinWait(t *testing.T) {
	r := established(t)
	r.write(10)
	r.shutdown(shutWR)
	r.want("P. 1:11(10) ack 1")
	r.want("F. 11:11(0) ack 1")
	s := r.move()
	require.True(t, s.FINSent)
	require.Equal(t, FinWait1, r.c.State())
	r.wantIdle()
	r.send(". 1:1(0) ack 12")
	require.Equal(t, FinWait2, r.c.State())
	s = r.move()
	require.Equal(t, FinWait2, s.State)
	require.Equal(t, s.SndUna, s.SndNxt)
	r.send("F. 1:1(0) ack 12")
	r.want(". 12:12(0) ack 2")
	require.True(t, r.c.Closed())
}

func TestMoveRefused(t *testing.T) {
	r := newRig(t)
	r.dial(nil)
	_, err := r.c.Freeze(r.now)
	require.ErrorIs(t, err, ErrCannotMove)
	r = established(t)
	r.send("PU. 1:11(10) ack 1 urg 5")
	_, err = r.c.Freeze(r.now)
	require.ErrorIs(t, err, ErrCannotMove, "the kernel cannot be given urgent data")
	r.c.Abort(r.now)
	_, err = r.c.Freeze(r.now)
	require.ErrorIs(t, err, ErrCannotMove)
}

func TestMoveWithoutTheUrgentOctetThatWasRead(t *testing.T) {
	r := established(t)
	r.send("PU. 1:11(10) ack 1 urg 5")
	n, _, err := r.c.Read(r.now, [][]byte{make([]byte, 1)}, msgOOB)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	r.out = nil
	s := r.move()
	require.Equal(t, append(pattern(1, 4), pattern(6, 5)...), s.Unread)
	b := make([]byte, 20)
	n, _, err = r.c.Read(r.now, [][]byte{b}, 0)
	require.NoError(t, err)
	require.Equal(t, s.Unread, b[:n])
}

func TestThaw(t *testing.T) {
	r := established(t)
	r.write(10)
	r.want("P. 1:11(10) ack 1")
	_, err := r.c.Freeze(r.now)
	require.NoError(t, err)
	_, err = r.c.Write(r.now, [][]byte{{1}}, 0)
	require.ErrorIs(t, err, ErrFrozen)
	r.advance(time.Minute)
	r.wantIdle()
	r.c.Thaw(r.now)
	r.advance(time.Second)
	r.want("P. 1:11(10) ack 1") // the retransmission that was due
	r.send(". 1:1(0) ack 11")
	require.Zero(t, r.c.OutQ())
}

// TestTheClockNeverGoesBackInAMove: whatever part of a millisecond it happens in, and however long the connection was away.
func TestTheClockNeverGoesBackInAMove(t *testing.T) {
	r := established(t, withTS)
	last := r.c.tsNow(r.now)
	for i := range 50 {
		r.advance(time.Duration(i) * 137 * time.Microsecond)
		s, err := r.c.Freeze(r.now)
		require.NoError(t, err)
		require.GreaterOrEqual(t, int32(s.TSVal-last), int32(0))
		require.Equal(t, r.c.tsNow(r.now), s.TSVal)
		r.c.Forget(r.now)
		r.advance(time.Duration(i) * 111 * time.Microsecond)
		s.TSVal += uint32(i) // where it was it went on
		c, err := Adopt(r.now, r.h, s, Path{r.mtu})
		require.NoError(t, err)
		require.Equal(t, s.TSVal, c.tsNow(r.now))
		r.c, last = c, s.TSVal
		c.Owner = r
	}
}

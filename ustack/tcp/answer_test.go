package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/pbuf"
)

const answerWait = 40 * time.Millisecond

// awaiting is an established connection of a host whose ACKs wait for answers.
func awaiting(t *testing.T) *rig {
	r := established(t)
	r.h.Answers.Wait = int64(answerWait)
	return r
}

// late has the ACKs leave whose time is over, and with waits those of what was read.
func (r *rig) late(waits bool) {
	l := r.h.Answers.Late(r.now, nil)
	if waits {
		l = r.h.Answers.Read(l)
	}
	for _, c := range l {
		c.Output(r.now, r)
	}
}

func TestTheAnswerCarriesTheFirstACK(t *testing.T) {
	r := awaiting(t)
	r.send("P. 1:101(100) ack 1")
	r.wantIdle()
	r.read(1, 100)
	r.wantIdle()
	require.True(t, r.h.Answers.Unanswered())
	r.write(50)
	r.want("P. 1:51(50) ack 101")
	require.False(t, r.h.Answers.Unanswered())
	require.Zero(t, r.h.Answers.Deadline())
	r.late(true)
	r.advance(time.Second)
	r.want("P. 1:51(50) ack 101") // repeated, as nobody acknowledged it: nothing else
}

func TestAProgramThatWaitsHasNoAnswer(t *testing.T) {
	r := awaiting(t)
	r.send("P. 1:101(100) ack 1")
	r.late(true)
	r.wantIdle() // not read yet
	r.read(1, 100)
	r.late(false)
	r.wantIdle()
	r.late(true)
	r.want(". 1:1(0) ack 101")
	r.late(true)
	r.wantIdle()
}

func TestAnUnreadRequestIsAcknowledgedInTime(t *testing.T) {
	r := awaiting(t)
	r.send("P. 1:101(100) ack 1")
	require.Equal(t, r.now+int64(answerWait), r.h.Answers.Deadline())
	require.Zero(t, r.c.Deadline())
	r.now += int64(answerWait) - 1
	r.late(false)
	r.wantIdle()
	r.now++
	r.late(false)
	r.want(". 1:1(0) ack 101")
	require.Zero(t, r.h.Answers.Deadline())
}

// What makes an ACK due for another reason does so while it waits, too.
func TestMoreEndsTheWait(t *testing.T) {
	for name, more := range map[string]struct{ in, out string }{
		"another short segment": {"P. 101:201(100) ack 1", ". 1:1(0) ack 201"},
		"a hole":                {"P. 201:301(100) ack 1", ". 1:1(0) ack 101 <sack 201:301>"},
		"a repetition":          {"P. 1:101(100) ack 1", ". 1:1(0) ack 101 <sack 1:101>"},
		"a full segment":        {". 101:1561(1460) ack 1", ". 1:1(0) ack 1561"},
	} {
		t.Run(name, func(t *testing.T) {
			r := awaiting(t)
			r.send("P. 1:101(100) ack 1")
			r.wantIdle()
			r.send(more.in)
			r.want(more.out)
			r.wantIdle()
			require.False(t, r.h.Answers.Unanswered())
			require.Zero(t, r.h.Answers.Deadline())
		})
	}
}

// A FIN's ACK is delayed as the kernel's is, and takes along that of the request.
func TestTheEndOfARequestWaitsToo(t *testing.T) {
	r := awaiting(t)
	r.send("P. 1:101(100) ack 1")
	r.now += int64(time.Millisecond)
	r.send("F. 101:101(0) ack 1")
	r.wantIdle()
	r.now += int64(answerWait) - int64(time.Millisecond)
	r.late(false)
	r.want(". 1:1(0) ack 102")
}

// connecting is a host whose ACKs wait, and whose SYN was just answered.
func connecting(t *testing.T) *rig {
	r := newRig(t)
	r.h.Answers.Wait = int64(answerWait)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.send("S. 0:0(0) ack 1 win 65535 <mss 1460>")
	r.wantIdle()
	require.Equal(t, Established, r.c.State())
	return r
}

func TestTheRequestCarriesTheACKOfTheHandshake(t *testing.T) {
	r := connecting(t)
	r.late(true) // the wait that tells the program of the connection
	r.late(true) // and the one that tells it that it can send
	r.wantIdle()
	r.write(100)
	r.want("P. 1:101(100) ack 1")
	r.late(true)
	r.wantIdle()
	require.False(t, r.h.Answers.Unanswered())
}

// Who waits in connect may then wait for something that the engine does not see.
func TestWhoWaitsInConnectIsAcknowledgedForAtOnce(t *testing.T) {
	r := newRig(t)
	r.h.Answers.Wait = int64(answerWait)
	r.dial(nil)
	r.want("S 0:0(0)")
	r.c.Prompt()
	r.wantIdle()
	r.send("S. 0:0(0) ack 1 win 65535 <mss 1460>")
	r.want(". 1:1(0) ack 1")
	r.wantIdle()
	require.False(t, r.h.Answers.Unanswered())
}

// The peer speaks first, or the program has nothing to say yet.
func TestAProgramWithoutARequest(t *testing.T) {
	r := connecting(t)
	require.True(t, r.h.Answers.Unanswered(), "a wait has to be told of")
	r.late(true)
	r.late(true)
	r.wantIdle()
	r.late(true)
	r.want(". 1:1(0) ack 1")
	require.False(t, r.h.Answers.Unanswered())

	r = connecting(t)
	r.now += int64(answerWait)
	r.late(false)
	r.want(". 1:1(0) ack 1")
	r.wantIdle()
}

func TestTheEndOfOneWithoutARequest(t *testing.T) {
	r := connecting(t)
	r.close()
	r.want("F. 1:1(0) ack 1")
	r.late(true)
	r.wantIdle()
}

// A SYN-ACK that is repeated tells that its ACK is missed.
func TestARepeatedSYNACKIsAcknowledged(t *testing.T) {
	r := connecting(t)
	r.send("S. 0:0(0) ack 1 win 65535 <mss 1460>")
	r.want(". 1:1(0) ack 1")
	r.late(true)
	r.wantIdle()
}

// A last answer with the FIN is acknowledged by our own FIN, be the answer a full segment or not.
func TestOurFINCarriesTheACKOfTheirs(t *testing.T) {
	for _, n := range []int{100, 1460} {
		r := awaiting(t)
		r.send(fmt.Sprintf("FP. 1:%d(%d) ack 1", n+1, n))
		r.wantIdle()
		r.read(1, n)
		r.wantIdle()
		r.close()
		r.want(fmt.Sprintf("F. 1:1(0) ack %d", n+2))
		r.late(true)
		require.Zero(t, r.h.Answers.Deadline())
	}
}

func TestAProgramThatDoesNotEndToo(t *testing.T) {
	r := awaiting(t)
	r.send("FP. 1:1461(1460) ack 1")
	r.late(true)
	r.wantIdle() // not read yet
	r.read(1, 1460)
	r.readEOF()
	r.wantIdle()
	r.late(true)
	r.want(". 1:1(0) ack 1462")

	r = awaiting(t)
	r.send("FP. 1:1461(1460) ack 1")
	r.now += int64(answerWait)
	r.late(false)
	r.want(". 1:1(0) ack 1462")
}

// Two full segments are acknowledged as soon as they are read, whatever comes behind.
func TestAFINBehindTwoSegments(t *testing.T) {
	r := awaiting(t)
	r.send("FP. 1:2921(2920) ack 1")
	r.read(1, 2920)
	r.want(". 1:1(0) ack 2922")
}

func TestQuickAckWaitsForNothing(t *testing.T) {
	r := awaiting(t)
	r.send("P. 1:101(100) ack 1")
	r.read(1, 100)
	require.NoError(t, r.c.SetOption(r.now, solTCP, tcpQuickAck, []byte{1, 0, 0, 0}))
	r.c.Output(r.now, r)
	r.want(". 1:1(0) ack 101")
}

// Connections that end, or move, while they wait are not asked for later.
func TestTheEndOfOneThatWaits(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"a reset": func(r *rig) { r.send("R. 101:101(0) ack 1") },
		"a move": func(r *rig) {
			_, err := r.c.Freeze(r.now)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := awaiting(t)
			r.send("P. 1:101(100) ack 1")
			r.read(1, 100)
			end(r)
			require.False(t, r.h.Answers.Unanswered())
			require.Zero(t, r.h.Answers.Deadline())
			r.late(true)
			r.wantIdle()
		})
	}
}

// The lists do not grow with what is over.
func TestAnswersForgetWhatIsOver(t *testing.T) {
	h := NewHost(DefaultParams(), pbuf.New(make([]byte, 4096), 4096), func() uint64 { return 4 })
	h.Answers.Wait = 1000
	first := &Conn{h: h}
	wait := func(c *Conn, now int64) {
		c.state = Established
		c.ack.pending, c.ack.quick = ackScheduled|ackPushed, 1
		require.True(t, c.awaitAnswer(now))
		c.readUnanswered()
	}
	wait(first, 0)
	for i := range 100_000 {
		c := &Conn{h: h}
		wait(c, int64(i))
		c.endAnswer()
		if i%1000 == 999 { // the only one that never ends otherwise
			require.Equal(t, []*Conn{first}, h.Answers.Late(int64(i)+1000, nil))
			wait(first, int64(i))
		}
	}
	require.Less(t, cap(h.Answers.list), 4096)
	require.Less(t, cap(h.Answers.read), 4096)
}

// Behind the last one that waits there may be others that do no more.
func TestTheLastThatWaitsIsNotTheLastInTheList(t *testing.T) {
	h := NewHost(DefaultParams(), pbuf.New(make([]byte, 4096), 4096), func() uint64 { return 4 })
	h.Answers.Wait = 1000
	var c [2]*Conn
	for i := range c {
		c[i] = &Conn{h: h, state: Established}
		c[i].ack.pending, c[i].ack.quick = ackScheduled|ackPushed, 1
		require.True(t, c[i].awaitAnswer(0))
		c[i].readUnanswered()
	}
	c[1].endAnswer()
	require.Equal(t, []*Conn{c[0]}, h.Answers.Read(nil))
}

func TestAResetIsNoAnswer(t *testing.T) {
	r := awaiting(t)
	r.send("P. 1:101(100) ack 1")
	r.wantIdle()
	r.c.Abort(r.now)
	r.c.Output(r.now, r)
	r.want(". 1:1(0) ack 101")
	r.want("R. 1:1(0) ack 101")
	r.wantIdle()
	require.Zero(t, r.h.Answers.Deadline())
}

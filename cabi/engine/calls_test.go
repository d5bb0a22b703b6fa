package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/usock"
)

func (r *pairRig) recv(h int32, b []byte) int {
	var info usock.RecvInfo
	inq := 0
	iov := [1][]byte{b}
	return r.e.SLRecv(h, iov[:], false, 0, &info, &inq)
}

func (r *pairRig) send(h int32, b []byte) int {
	iov := [1][]byte{b}
	return r.e.SLSend(h, iov[:], false, 0)
}

func TestReadinessFollowsTheSocket(t *testing.T) {
	r := newPairRig(t)
	w := &r.e.sh.Words[r.l.h]
	require.Zero(t, w.Ready.Load())
	c, h := r.connect(1000)
	require.Zero(t, w.Ready.Load(), "nothing left to accept")
	require.EqualValues(t, 1, w.EdgeIn.Load(), "one came")

	w = &r.e.sh.Words[h]
	require.EqualValues(t, usock.PollOut|usock.PollWrNorm, w.Ready.Load())
	before := w.EdgeIn.Load()
	_, err := c.Send(nanotime(), [][]byte{[]byte("hello")}, 0)
	require.NoError(t, err)
	r.turn()
	require.NotZero(t, w.Ready.Load()&usock.PollIn)
	require.Greater(t, w.EdgeIn.Load(), before)
	require.NotZero(t, r.e.sh.Queued[h].Load(), "C is told")

	b := make([]byte, 16)
	require.Equal(t, 5, r.recv(h, b))
	require.Zero(t, w.Ready.Load()&usock.PollIn)
	require.Equal(t, -int(unix.EAGAIN), r.recv(h, b))
}

func TestClosedHandles(t *testing.T) {
	r := newPairRig(t)
	_, h := r.connect(1000)
	require.Zero(t, r.e.SLClose(h))
	require.Equal(t, -int(unix.EBADF), r.e.SLClose(h))
	require.Equal(t, -int(unix.EBADF), r.send(h, []byte("x")))
	require.EqualValues(t, 1, r.e.sh.Handles.Load(), "the listener")
}

func TestNamesAndNumbers(t *testing.T) {
	r := newPairRig(t)
	c, h := r.connect(1000)
	var sa Sockaddr
	n := r.e.SLName(h, true, &sa)
	peer, _, err := parseSockaddr(sa[:n])
	require.NoError(t, err)
	require.Equal(t, c.Local(), peer)
	require.Equal(t, -int(unix.ENOTCONN), r.e.SLName(r.l.h, true, &sa))
	_, err = c.Send(nanotime(), [][]byte{[]byte("hello")}, 0)
	require.NoError(t, err)
	r.turn()
	v := 0
	require.Zero(t, r.e.SLIoctl(h, unix.SIOCINQ, &v))
	require.Equal(t, 5, v)
	require.Equal(t, -int(unix.EINVAL), r.e.SLIoctl(r.l.h, unix.SIOCINQ, &v))
}

func TestTheTableOfConnectionsIsKept(t *testing.T) {
	r := newPairRig(t)
	count := func() (n int) {
		r.e.plane.state.Each(func(proto.Entry) bool { n++; return true })
		return n
	}
	c, h := r.connect(1000)
	require.Equal(t, 1, count())
	c.Abort(nanotime())
	r.turn()
	require.Zero(t, count())
	require.Equal(t, -int(unix.ECONNRESET), r.recv(h, make([]byte, 1)))
}

func TestAFaultEndsTheEngineNotTheProgram(t *testing.T) {
	r := newPairRig(t)
	_, h := r.connect(1000)
	r.e.tab.objects[h].sock.Ref = nil
	got := r.e.guard(Moved, func(int64) int { panic("oops") })
	require.Equal(t, Moved, got)
	require.EqualValues(t, 1, r.e.sh.Dead.Load())
	require.EqualValues(t, uint32(Gone), r.e.sh.Words[h].Moved.Load())
	require.Equal(t, Moved, r.send(h, []byte("x")))
	require.Equal(t, Kernel, r.e.SLListen(0, 1))
	require.Zero(t, r.e.SLPoll(false))
}

func TestCallsAllocateNothing(t *testing.T) {
	r := newPairRig(t)
	c, h := r.connect(1000)
	ping, b := []byte("ping"), make([]byte, 64)
	iov := [][]byte{ping}
	in := [][]byte{b}
	round := func() {
		if _, err := c.Send(nanotime(), iov, 0); err != nil {
			t.Fatal(err)
		}
		r.e.SLPoll(false)
		if n := r.recv(h, b); n != 4 {
			t.Fatal(n)
		}
		if n := r.send(h, ping); n != 4 {
			t.Fatal(n)
		}
		r.peer.Poll(nanotime(), 64)
		if n, _, err := c.Recv(nanotime(), in, 0); n != 4 {
			t.Fatal(n, err)
		}
	}
	for range 100 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(1000, round))
}

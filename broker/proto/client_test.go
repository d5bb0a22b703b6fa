package proto

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fakeBroker takes a channel at the far end of a door and answers hello.
func fakeBroker(t *testing.T) (door int, channel <-chan int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	ch := make(chan int, 1)
	go func() {
		buf := make([]byte, MaxMessage)
		p := mustRead(pair[1], buf)
		if p == nil || p.Op != OpOpen || len(p.FDs) != 1 {
			close(ch)
			return
		}
		unix.SetsockoptInt(p.FDs[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		h := mustRead(p.FDs[0], buf)
		msg, _ := Encode(Envelope{ID: h.ID, Op: OpReply}, Welcome{Version: Version, Pid: int(h.Creds.Pid), Token: "t"})
		Write(p.FDs[0], msg, nil)
		ch <- p.FDs[0]
	}()
	return pair[0], ch
}

func mustRead(fd int, buf []byte) *Packet {
	for {
		p, err := Read(fd, buf)
		if errors.Is(err, ErrAgain) {
			wait(fd, unix.POLLIN, time.Now().Add(15*time.Second))
			continue
		}
		return p
	}
}

func TestOpenSaysWhoWeAre(t *testing.T) {
	door, ch := fakeBroker(t)
	c, w, err := Open(door, Hello{Program: "x"}, 15*time.Second)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, os.Getpid(), w.Pid, "the pid comes from the kernel, with the first message")
	unix.Close(<-ch)
	_, err = c.Call(OpStatus, nil, nil, nil, time.Second)
	require.ErrorIs(t, err, ErrClosed)
	_, err = c.Next()
	require.ErrorIs(t, err, ErrClosed, "the end of a channel is remembered")
}

func TestEventsDuringACallAreKept(t *testing.T) {
	door, ch := fakeBroker(t)
	c, _, err := Open(door, Hello{}, 15*time.Second)
	require.NoError(t, err)
	defer c.Close()
	far := <-ch
	defer unix.Close(far)
	go func() {
		p := mustRead(far, make([]byte, MaxMessage))
		ev, _ := Encode(Envelope{ID: 7, Op: OpYield}, Yield{Queues: []QueueRef{{2, 1}}})
		Write(far, ev, nil)
		late, _ := Encode(Envelope{ID: p.ID + 100, Op: OpReply}, nil)
		Write(far, late, nil)
		no, _ := Encode(Envelope{ID: p.ID, Op: OpReply, Error: "no such thing"}, nil)
		Write(far, no, nil)
	}()
	_, err = c.Call(OpListen, Listen{}, nil, nil, 15*time.Second)
	var refused *Refused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "no such thing", refused.Reason)
	ev, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, OpYield, ev.Op)
	var y Yield
	require.NoError(t, ev.Into(&y))
	require.Equal(t, []QueueRef{{2, 1}}, y.Queues)
	ev, err = c.Next()
	require.NoError(t, err)
	require.Nil(t, ev)
}

// TestWhatCameBeforeTheEnd: a broker that is killed with requests unread leaves an error in front of the events that it had sent, and with these
// connections that nobody else has.
func TestWhatCameBeforeTheEnd(t *testing.T) {
	door, ch := fakeBroker(t)
	c, _, err := Open(door, Hello{}, 15*time.Second)
	require.NoError(t, err)
	defer c.Close()
	far := <-ch
	gift, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(gift)
	for id := range uint64(2) {
		ev, _ := Encode(Envelope{ID: 7 + id, Op: OpAccepted}, Accepted{Cookie: id})
		require.NoError(t, Write(far, ev, []int{gift}))
	}
	require.NoError(t, c.Tell(OpReady, Ready{}))
	unix.Close(far)

	first, err := c.Next()
	require.NoError(t, err, "the channel's error comes first, but is not the end")
	rest := append([]*Packet{first}, c.Rest()...)
	require.Len(t, rest, 2)
	for i, p := range rest {
		require.Equal(t, OpAccepted, p.Op)
		require.EqualValues(t, 7+i, p.ID)
		require.Len(t, p.FDs, 1)
		p.CloseFDs()
	}
	require.Empty(t, c.Rest())
	_, err = c.Next()
	require.ErrorIs(t, err, ErrClosed)
}

// TestAnAnswerBeforeTheEnd: nor is an answer lost that a broker gave before it was killed, or what came ahead of one that it did not give any more.
func TestAnAnswerBeforeTheEnd(t *testing.T) {
	for _, answers := range []bool{true, false} {
		door, ch := fakeBroker(t)
		c, _, err := Open(door, Hello{}, 15*time.Second)
		require.NoError(t, err)
		defer c.Close()
		far := <-ch
		gift, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(gift)
		other, err := unix.FcntlInt(uintptr(c.FD()), unix.F_DUPFD_CLOEXEC, 0) // another process's
		require.NoError(t, err)
		unread, err := Encode(Envelope{Op: OpReady}, Ready{})
		require.NoError(t, err)
		go func() {
			p := mustRead(far, make([]byte, MaxMessage))
			for Write(other, unread, nil) != nil {
			}
			unix.Close(other)
			ahead, _ := Encode(Envelope{ID: p.ID, Op: OpSockets}, Sockets{Conns: []int{0}})
			Write(far, ahead, []int{gift})
			if answers {
				msg, _ := Encode(Envelope{ID: p.ID, Op: OpReply}, Handed{Errors: []string{"x"}})
				Write(far, msg, nil)
			}
			unix.Close(far)
		}()
		var h Handed
		var ahead []*Packet
		got, err := c.CallAhead(OpHandover, Handover{}, nil, &h, 15*time.Second, func(p *Packet) { ahead = append(ahead, p) })
		require.Empty(t, got)
		require.Len(t, ahead, 1)
		require.Len(t, ahead[0].FDs, 1)
		ahead[0].CloseFDs()
		if answers {
			require.NoError(t, err)
			require.Equal(t, []string{"x"}, h.Errors)
			continue
		}
		require.ErrorIs(t, err, ErrClosed)
	}
}

// TestALateAnswerIsClosed: what comes ahead of an answer that nobody waits for any more is of no use.
func TestALateAnswerIsClosed(t *testing.T) {
	door, ch := fakeBroker(t)
	c, _, err := Open(door, Hello{}, 15*time.Second)
	require.NoError(t, err)
	defer c.Close()
	far := <-ch
	pipe := make([]int, 2)
	require.NoError(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	_, err = c.CallAhead(OpHandover, Handover{}, nil, nil, time.Millisecond, (*Packet).CloseFDs)
	require.ErrorIs(t, err, ErrTimeout)
	late, _ := Encode(Envelope{ID: c.id, Op: OpSockets}, Sockets{})
	require.NoError(t, Write(far, late, pipe[1:]))
	require.NoError(t, unix.Close(pipe[1]))
	ev, err := c.Next()
	require.NoError(t, err)
	require.Nil(t, ev)
	n, err := unix.Read(pipe[0], make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n, "nobody has the other end")
	unix.Close(far)
}

// TestAKeeperIsEmptiedOnce, whoever has it; a copy of what is in it empties it not.
func TestAKeeperIsEmptiedOnce(t *testing.T) {
	pipe := make([]int, 2)
	require.NoError(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	keeper, err := Keep(pipe[1:])
	require.NoError(t, err)
	defer unix.Close(keeper)
	require.NoError(t, unix.Close(pipe[1]))
	other, err := unix.FcntlInt(uintptr(keeper), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(other)
	copies, err := Kept(other)
	require.NoError(t, err)
	require.Len(t, copies, 1)
	unix.Close(copies[0])
	require.False(t, Empty(keeper))
	got, err := Take(other, 700)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.GreaterOrEqual(t, got[0], 700)
	require.True(t, Empty(keeper))
	_, err = Take(keeper, 0)
	require.ErrorIs(t, err, errNoKeeper)
	unix.Close(got[0])
	n, err := unix.Read(pipe[0], make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n, "who took it out had it alone")
}

func TestOversizedIsRefusedBothWays(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	_, err = Encode(Envelope{Op: OpHello}, Hello{Program: string(make([]byte, MaxMessage))})
	require.ErrorIs(t, err, ErrTooBig)
	require.NoError(t, Write(pair[0], make([]byte, MaxMessage+1), nil))
	_, err = Read(pair[1], make([]byte, MaxMessage))
	require.ErrorIs(t, err, ErrTooBig)
	require.NoError(t, Write(pair[0], []byte("{not json"), []int{0}))
	_, err = Read(pair[1], make([]byte, MaxMessage))
	require.ErrorContains(t, err, "decode message")
}

// TestBegin: several requests are out before the first answer is waited for; each finds its own, in whatever order they are asked for.
func TestBegin(t *testing.T) {
	door, ch := fakeBroker(t)
	c, _, err := Open(door, Hello{}, 15*time.Second)
	require.NoError(t, err)
	defer c.Close()
	far := <-ch
	defer unix.Close(far)
	const some = 3
	go func() {
		var asked []*Packet
		for range some { // nothing is answered before all are there
			asked = append(asked, mustRead(far, make([]byte, MaxMessage)))
		}
		asked = append(asked, mustRead(far, make([]byte, MaxMessage)))
		for _, p := range asked {
			yes, _ := Encode(Envelope{ID: p.ID, Op: OpReply}, Welcome{Pid: int(p.ID)})
			Write(far, yes, nil)
		}
	}()
	var ids []uint64
	for range some {
		id, err := c.Begin(OpTakeover, nil, nil, 15*time.Second)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	_, err = c.Call(OpStatus, nil, nil, nil, 15*time.Second)
	require.NoError(t, err)
	for _, i := range []int{1, 0, 2} {
		var w Welcome
		_, err := c.Await(ids[i], OpTakeover, &w, 15*time.Second)
		require.NoError(t, err)
		require.EqualValues(t, ids[i], w.Pid)
	}
	require.Empty(t, c.begun)
}

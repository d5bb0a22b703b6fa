package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// TestWhoIsRousedReadsOn: a reader that was woken for a message that is about to come gets it, and each later one, and the end.
func TestWhoIsRousedReadsOn(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	c, err := newChannel(fds[0])
	require.NoError(t, err)
	defer c.file.Close()
	got, over := make(chan uint64, 200), make(chan error, 1)
	go func() {
		for buf := make([]byte, proto.MaxMessage); ; {
			p, err := c.read(buf, 0, nil)
			if err != nil {
				over <- err
				return
			}
			got <- p.ID
		}
	}()
	for i := range uint64(100) {
		if i%3 != 0 {
			c.rouse(time.Duration(i%5) * 100 * time.Microsecond)
		}
		if i%4 == 0 {
			time.Sleep(time.Duration(i%7) * 100 * time.Microsecond)
		}
		msg, err := proto.Encode(proto.Envelope{ID: i + 1, Op: proto.OpReply}, nil)
		require.NoError(t, err)
		require.NoError(t, proto.Write(fds[1], msg, nil))
		require.Equal(t, i+1, <-got)
	}
	c.rouse(time.Millisecond)
	require.NoError(t, unix.Close(fds[1]))
	require.True(t, errors.Is(<-over, proto.ErrClosed))
}

// TestAMessageJustBeforeSleepIsRead: one that comes between the last look awake and the moment that the set is to tell of messages again is read at once. The
// set does not tell of it, as nobody has waited there since it told of one before.
func TestAMessageJustBeforeSleepIsRead(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	c, err := newChannel(fds[0])
	require.NoError(t, err)
	defer c.close()
	defer unix.Close(fds[1])
	msg, err := proto.Encode(proto.Envelope{Op: proto.OpReply}, nil)
	require.NoError(t, err)
	got, over := make(chan struct{}), make(chan error, 1)
	go func() {
		for buf := make([]byte, proto.MaxMessage); ; {
			if _, err := c.read(buf, 100*time.Microsecond, nil); err != nil {
				over <- err
				return
			}
			got <- struct{}{}
		}
	}()
	for i := range 4000 {
		for end := time.Now().Add(time.Duration(90+i%30) * time.Microsecond); time.Now().Before(end); { // about when it goes to sleep
		}
		require.NoError(t, proto.Write(fds[1], msg, nil))
		select {
		case <-got:
		case <-time.After(5 * time.Second):
			t.Fatalf("message %d is not read", i)
		}
	}
	c.close()
	<-over
}

// TestAFullChannelEnds: who waits for room in it does not keep it open.
func TestAFullChannelEnds(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	c, err := newChannel(fds[0])
	require.NoError(t, err)
	over := make(chan struct{})
	go func() { c.writeLoop(); close(over) }()
	for c.left.Load() < 10 {
		require.NoError(t, c.send(proto.Envelope{Op: proto.OpReply}, nil))
	}
	time.Sleep(10 * time.Millisecond) // it waits for room
	c.close()
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		t.Fatal("it waits still")
	}
	for {
		if _, err = proto.Read(fds[1], make([]byte, proto.MaxMessage)); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, proto.ErrClosed)
}

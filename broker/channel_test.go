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
			p, err := c.read(buf, 0)
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

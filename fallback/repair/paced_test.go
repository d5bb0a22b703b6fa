package repair

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestNothingNewIsSentByAFrozenSocket: the kernel's pacing timer goes on while a connection is read. What it sent beyond SND.NXT as it was
// read would be acknowledged by the peer, and the next owner would discard these acknowledgements for ever.
func TestNothingNewIsSentByAFrozenSocket(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		require.NoError(t, unix.SetsockoptInt(p.near, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 32<<20))
		require.NoError(t, unix.SetsockoptInt(p.far, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 32<<20))
		require.NoError(t, unix.SetsockoptInt(p.near, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20))
		require.NoError(t, unix.SetsockoptInt(p.far, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20))
		require.NoError(t, unix.SetsockoptInt(p.near, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 50<<20)) // a segment in 0.2 ms
		const unread, warm, more = 8 << 20, 100 << 10, 3 << 20
		for n := 0; n < unread; { // what takes a while to be read
			n += p.write(p.far, pattern(256<<10, 3))
		}
		p.until("all of it to be there", func() bool {
			n, err := unix.IoctlGetInt(p.far, unix.SIOCOUTQ)
			return err == nil && n == 0
		})
		require.Equal(t, warm, p.write(p.near, pattern(warm, 1)))
		p.read(p.far, warm)
		var unsent int
		for range 10 { // on a busy machine all of it may be gone before it is frozen
			require.Equal(t, more, p.write(p.near, pattern(more, 2)))
			s, err := FromKernel(p.near)
			require.NoError(t, err)
			sent, err := s.sent()
			require.NoError(t, err)
			if unsent = len(s.SendData) - sent; unsent > 0 {
				break
			}
			require.NoError(t, Thaw(p.near))
			p.read(p.far, more)
		}
		require.Positive(t, unsent, "all of it had been sent")
		time.Sleep(100 * time.Millisecond) // many segments' time
		got, err := unix.IoctlGetInt(p.far, unix.SIOCINQ)
		require.NoError(t, err)
		require.LessOrEqual(t, got, more-unsent, "of %d octets", more)
		require.NoError(t, Thaw(p.near))
		require.Equal(t, pattern(more, 2), p.read(p.far, more))
	})
}

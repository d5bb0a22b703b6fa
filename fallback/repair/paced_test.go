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
		var s State
		var unsent int
		for range 10 { // on a busy machine all of it may be gone before it is frozen
			require.Equal(t, more, p.write(p.near, pattern(more, 2)))
			var err error
			s, err = FromKernel(p.near)
			require.NoError(t, err)
			sent, err := s.sent()
			require.NoError(t, err)
			if unsent = len(s.SendData) - sent; unsent > 0 {
				break
			}
			require.NoError(t, s.Thaw(p.near))
			p.read(p.far, more)
		}
		require.Positive(t, unsent, "all of it had been sent")
		time.Sleep(100 * time.Millisecond) // many segments' time
		got, err := unix.IoctlGetInt(p.far, unix.SIOCINQ)
		require.NoError(t, err)
		require.LessOrEqual(t, got, more-unsent, "of %d octets", more)
		require.NoError(t, s.Thaw(p.near))
		require.Equal(t, pattern(more, 2), p.read(p.far, more))
	})
}

// TestAProbeOfAFrozenSocketSendsNothingNew: the timer that probes a window sends what fits in it, repair mode or not; so a frozen socket believes
// that there is no window.
func TestAProbeOfAFrozenSocketSendsNothingNew(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		require.Equal(t, 100, p.write(p.near, pattern(100, 1)))
		p.read(p.far, 100)
		p.until("the acknowledgement", func() bool {
			n, err := unix.IoctlGetInt(p.near, unix.SIOCOUTQ)
			return err == nil && n == 0
		})
		require.NoError(t, unix.SetsockoptInt(p.near, unix.IPPROTO_TCP, unix.TCP_CORK, 1))
		require.Equal(t, 50, p.write(p.near, pattern(50, 2))) // nothing is in flight: the probe timer runs, 200 ms
		s, err := FromKernel(p.near)
		require.NoError(t, err)
		require.Equal(t, s.SndUna, s.SndNxt)
		require.Len(t, s.SendData, 50)
		require.Positive(t, s.SndWnd)
		time.Sleep(600 * time.Millisecond)
		got, err := unix.IoctlGetInt(p.far, unix.SIOCINQ)
		require.NoError(t, err)
		require.Zero(t, got, "sent beyond SND.NXT")
		require.NoError(t, s.Thaw(p.near))
		w, err := func() (window, error) { require.NoError(t, enter(p.near)); return getWindow(p.near) }()
		require.NoError(t, err)
		require.NoError(t, exit(p.near, false))
		require.Positive(t, w.sndWnd)
		require.NoError(t, unix.SetsockoptInt(p.near, unix.IPPROTO_TCP, unix.TCP_CORK, 0))
		require.Equal(t, pattern(50, 2), p.read(p.far, 50))
	})
}

// TestToKernelComesTooLate: nothing comes to life for somebody who waits no longer.
func TestToKernelComesTooLate(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		s, err := FromKernel(p.near)
		require.NoError(t, err)
		require.NoError(t, Discard(p.near))
		s.Deadline = time.Now().Add(-time.Second)
		_, err = ToKernel(s, injector(t))
		require.ErrorContains(t, err, "too late")
		s.Deadline = time.Now().Add(time.Minute)
		fd, err := ToKernel(s, injector(t))
		require.NoError(t, err, "the first attempt left nothing")
		unix.Close(p.near)
		p.near = fd
		require.Equal(t, 10, p.write(p.far, pattern(10, 1)))
		require.Equal(t, pattern(10, 1), p.read(p.near, 10))
	})
}

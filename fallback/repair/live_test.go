package repair

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// unprivileged makes the calling thread, and no other, nobody's. Such a thread is never unlocked (inNamespace).
func unprivileged(t *testing.T) {
	t.Helper()
	const nobody = 65534
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody)
	require.Zero(t, errno)
}

// TestWhoeverLivesGoesOn: who brings a connection to the kernel may be killed after each step. Who was given the socket before, and may do nothing that
// others may not, knows by the socket alone whether it lives, and goes on with that or with its own; the peer has every octet, once.
func TestWhoeverLivesGoesOn(t *testing.T) {
	const rest = "of what was not sent"
	steps := []func(fd int) error{
		func(fd int) error { return useQueue(fd, sendQueue) },
		func(fd int) error { return exit(fd, false) },
		unlock,
		func(fd int) error { return exit(fd, true) },
		func(fd int) error { _, err := write(fd, []byte(rest[:7])); return err },
		func(fd int) error { _, err := write(fd, []byte(rest[7:])); return err },
		func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) },
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		for done := range len(steps) + 1 {
			inNamespace(t, func(t *testing.T) {
				p := connected(t, ip)
				p.both()
				p.write(p.far, []byte("unread"))
				p.until("it to come", func() bool { n, _ := unix.IoctlGetInt(p.near, unix.SIOCINQ); return n == len("unread") })
				s, err := FromKernel(p.near)
				require.NoError(t, err)
				require.NoError(t, Discard(p.near))
				s.SendData, s.State = []byte(rest), FinWait1 // the FIN waits behind them
				fd, err := NewBlank(s.Six())
				require.NoError(t, err)
				require.NoError(t, s.Fill(fd, injector(t)))
				for _, step := range steps[:done] {
					require.NoError(t, step(fd))
				}
				p.write(p.far, []byte(" and later"))

				mine := s // as it was before it was given away
				alive, err := Alive(fd)
				require.NoError(t, err)
				require.Equal(t, done >= 2, alive, "after %d steps", done)
				if !alive { // its own goes to the kernel, too, here
					require.NoError(t, Discard(fd))
					unix.Close(fd)
					fd, err = ToKernel(mine, injector(t))
					require.NoError(t, err)
				}
				p.near = fd
				unprivileged(t)
				if alive {
					require.NoError(t, mine.Finish(fd))
				}
				require.Equal(t, rest, string(p.read(p.far, -1)), "after %d steps", done)
				require.Equal(t, "unread and later", string(p.read(p.near, len("unread and later"))), "after %d steps", done)
				require.NoError(t, unix.Shutdown(p.far, unix.SHUT_WR))
				require.Empty(t, p.read(p.near, -1))
			})
		}
	}
}

package guard

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// On a kernel that asks BPF programs who may bind, a socket marked for another process is refused, and one of ours comes as far as having no
// rings; on any other kernel Attach says that it is none, and leaves nothing.
func TestGuard(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	_, err := os.Lstat(Pin)
	there := err == nil
	err = Attach()
	if !there {
		defer os.Remove(Pin)
	}
	if errors.Is(err, errUnheard) || errors.Is(err, unix.EPERM) {
		if !there {
			require.NoFileExists(t, Pin)
		}
		t.Skip(err) // tests/qemu does it
	}
	require.NoError(t, err)
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	bind := func() error { return unix.Bind(fd, &unix.SockaddrXDP{Ifindex: 1}) }
	require.ErrorIs(t, bind(), unix.EINVAL, "one without a mark is everybody's")
	require.NoError(t, mark(fd, os.Getpid()+1))
	require.ErrorIs(t, bind(), unix.EPERM)
	require.NoError(t, Mark(fd))
	require.ErrorIs(t, bind(), unix.EINVAL)
}

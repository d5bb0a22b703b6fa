package engine

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The runtime's poller is open in a test process already, so a fresh process looks.
func TestTheRuntimesDescriptorsLieHigh(t *testing.T) {
	if os.Getenv("SLT_POLLER") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestTheRuntimesDescriptorsLieHigh$")
		c.Env = append(os.Environ(), "SLT_POLLER=1")
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	got := raisePoller(300)
	if len(got) == 2 { // else the testing package was first
		require.GreaterOrEqual(t, got[0], 300)
		require.GreaterOrEqual(t, got[1], 300)
	}
}

func TestDescriptorsAreClosedInRuns(t *testing.T) {
	var fds, ours []int
	for i := range 40 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		require.NoError(t, err)
		if i%7 == 3 {
			fds = append(fds, fd) // the program's
			defer unix.Close(fd)
			continue
		}
		ours = append(ours, fd)
	}
	slices.Sort(ours)
	closeRuns(ours)
	open := func(fd int) bool { _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); return err == nil }
	for _, fd := range fds {
		require.True(t, open(fd))
	}
	for _, fd := range ours {
		require.False(t, open(fd), "%d of %v", fd, ours)
	}
}

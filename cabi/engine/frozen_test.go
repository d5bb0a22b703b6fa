package engine

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/fallback/repair"
)

// TestAFrozenSocketIsKeptUntilTheBrokerHasEndedIt: whenever that is. If the broker dies before, it is ours to end; one that is forgotten takes the connection's
// packets as soon as the next broker has come.
func TestAFrozenSocketIsKeptUntilTheBrokerHasEndedIt(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	e := &Engine{sh: new(Shared)}
	var fds []int
	for range 2 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.Addr().(*net.TCPAddr).Port}))
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		e.sh.own(own)
		e.frozen = append(e.frozen, frozen{own, frozenFor})
		fds = append(fds, fd)
	}
	e.forgetFrozen(0)
	require.Len(t, e.frozen, 2)
	e.forgetFrozen(100 * frozenFor)
	require.Len(t, e.frozen, 2, "the broker has not ended them")
	require.NoError(t, repair.Discard(fds[0]))
	e.forgetFrozen(100*frozenFor + 1)
	require.Len(t, e.frozen, 2, "not looked at all the time")
	e.forgetFrozen(101 * frozenFor)
	require.Len(t, e.frozen, 1)
	require.NoError(t, repair.Discard(fds[1]))
	e.forgetFrozen(102 * frozenFor)
	require.Empty(t, e.frozen)
}

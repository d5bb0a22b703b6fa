package broker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestListening(t *testing.T) {
	ns, err := os.Open("/proc/self/ns/net")
	require.NoError(t, err)
	defer ns.Close()
	if os.Geteuid() != 0 {
		t.Skip("needs root to enter a namespace")
	}
	for _, at := range []string{"127.0.0.1", "0.0.0.0", "::1", "::"} {
		l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		dial := "127.0.0.1"
		if at == "::1" {
			dial = at
		}
		local := netip.AddrPortFrom(netip.MustParseAddr(dial), uint16(port))
		require.True(t, kernel{}.Listening(int(ns.Fd()), local), at)
		c, err := net.Dial("tcp", net.JoinHostPort(dial, fmt.Sprint(port)))
		require.NoError(t, err)
		a, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.False(t, kernel{}.Listening(int(ns.Fd()), local), "only connections are left: %s", at)
		require.NoError(t, a.Close())
		require.NoError(t, c.Close())
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // bound, and no more
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	sa, err := unix.Getsockname(fd)
	require.NoError(t, err)
	port := sa.(*unix.SockaddrInet4).Port
	require.False(t, kernel{}.Listening(int(ns.Fd()), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))))
}

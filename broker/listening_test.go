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

// A look at the kernel's listeners that takes long stalls nobody, and does not end what came while it was under way.
func TestALongLookStallsNobody(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	look, looks := make(chan struct{}), make(chan struct{}, 1000)
	h.k.look, h.k.looks = look, looks // nobody is shown any listener yet, so nobody looks
	l := kernelListener(t, "127.0.0.1:0")
	a := h.engine()
	a.ready(a.listen(l))
	<-looks
	late := kernelListener(t, "127.0.0.1:0")
	require.NotZero(t, a.listen(late).Cookie, "requests are served meanwhile")
	look <- struct{}{}
	<-looks // the next one
	st := h.b.Status()
	require.Len(t, st.Leases, 1)
	require.Len(t, st.Leases[0].Listeners, 2)
	require.NoError(t, l.Close())
	close(look)
	until(t, "the closed one to be noticed", func() bool { return len(h.b.Status().Leases[0].Listeners) == 1 })
}

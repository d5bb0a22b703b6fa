package broker

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// TestBare: a process without an engine accepts a bell, and fetches what waits there; nobody gets anything by another's port or listener.
func TestBare(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l, strange := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	e, x := h.engine(), newEngineWith(t, h.b.cfg.Socket, proto.Hello{Program: "bare"})
	g := e.listen(l)
	ask := func() (a proto.Asked) {
		_, err := e.c.Call(proto.OpOrphan, proto.Orphan{Cookie: g.Cookie, Ask: true}, nil, &a, patience)
		require.NoError(t, err)
		return a
	}
	fetch := func(l net.Listener, port int) ([]int, error) {
		return x.c.Call(proto.OpFetch, proto.Fetch{Port: uint16(port)}, []int{fileOf(t, l)}, nil, patience)
	}
	require.Zero(t, ask())
	_, err := x.c.Call(proto.OpBare, nil, []int{fileOf(t, l)}, nil, patience)
	require.NoError(t, err)
	require.Equal(t, proto.Asked{Others: true, Bare: true}, ask())

	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	waits, err := l.Accept()
	require.NoError(t, err)
	fd, err := waits.(*net.TCPConn).File()
	require.NoError(t, err)
	_, err = e.c.Call(proto.OpOrphan, proto.Orphan{Cookie: g.Cookie, Kernel: true}, []int{int(fd.Fd())}, nil, patience)
	require.NoError(t, err)
	fd.Close()
	waits.Close()

	bell, err := l.Accept()
	require.NoError(t, err)
	defer bell.Close()
	file, err := bell.(*net.TCPConn).File()
	require.NoError(t, err)
	defer file.Close()
	mss, err := unix.GetsockoptInt(int(file.Fd()), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	require.NoError(t, err)
	require.Contains(t, []int{bellMSS, bellMSS - 12}, mss, "what shim/bell.c knows it by")
	port := bell.RemoteAddr().(*net.TCPAddr).Port

	_, err = fetch(l, port-1)
	require.ErrorContains(t, err, "no bell's")
	_, err = fetch(strange, port)
	require.ErrorContains(t, err, "another listener's")
	fds, err := fetch(l, port)
	require.NoError(t, err)
	require.Len(t, fds, 1)
	got := os.NewFile(uintptr(fds[0]), "fetched")
	defer got.Close()
	_, err = peer.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, unix.SetNonblock(fds[0], false))
	n, err := got.Read(make([]byte, 2))
	require.Equal(t, 1, n)
	require.NoError(t, err)
	fds, err = fetch(l, port)
	require.NoError(t, err)
	require.Empty(t, fds, "another was quicker")
}

func fileOf(t *testing.T, l net.Listener) int {
	t.Helper()
	f, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

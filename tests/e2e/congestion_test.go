package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Each client gets 300 KB; the server tells the algorithm that its connection began with, and whether it could choose others.
const (
	congestionServer = `
import socket, sys
l = socket.create_server((sys.argv[1], 8080))
print("listening", flush=True)
name = lambda c: c.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
while True:
    c, _ = l.accept()
    line = [name(c)]
    for want in b"reno", b"bbr3", b"nonsense":
        try:
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, want)
            line.append(name(c))
        except FileNotFoundError:
            line.append("none")
        c.sendall(bytes(100000))
    c.close()
    print(*line, flush=True)
`
	congestionClient = `
import socket, sys
c, n = socket.create_connection((sys.argv[1], 8080), 20), 0
while b := c.recv(65536):
    n += len(b)
assert n == 300000, n
`
)

// TestCongestionKnob: SLUICE_CONGESTION chooses for programs that do not, and they still can.
func TestCongestionKnob(t *testing.T) {
	r := newRig(t, testbed.Config{})
	addr := r.Server.IPv4.String()
	env := append(r.Env(), "SLUICE_LISTEN=8080", "SLUICE_CONGESTION=bbr3", "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
	s := testrig.Start(t, r.Server, env, "python3", "-c", congestionServer, addr)
	t.Cleanup(func() { s.Stop(syscall.SIGKILL) })
	testrig.Until(t, "the server to listen", func() bool { return strings.Contains(s.Output(), "listening") })
	testrig.Until(t, "a connection of ours", func() bool {
		before, lines := r.packets(), strings.Count(s.Output(), "\n")
		testrig.Run(t, r.Client, "python3", "-c", congestionClient, addr)
		testrig.Until(t, "the server's line", func() bool { return strings.Count(s.Output(), "\n") > lines })
		return r.packets() > before
	})
	all := strings.Split(strings.TrimSpace(s.Output()), "\n")
	require.Equal(t, "bbr3 reno bbr3 none", all[len(all)-1])
}

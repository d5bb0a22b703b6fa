package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// TCP Fast Open with the kernel at the other end, in both roles: the second connection of a client takes its request along
// with the SYN, and both ends' TCP_INFO says so (TCPI_OPT_SYN_DATA, 32).

const fastServer = `
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
s.bind((sys.argv[1], 8080))
s.listen(5)
print("listening", flush=True)
while True:
    c, peer = s.accept()
    data = b""
    while len(data) < 1000:
        data += c.recv(2000)
    c.sendall(data[::-1])
    print("syn data", c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & 32, flush=True)
    c.close()
`

const fastClient = `
import socket, sys
request = bytes(range(250)) * 4
for _ in range(2):
    s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
    if sys.argv[2] == "sendto":
        n = s.sendto(request, socket.MSG_FASTOPEN, (sys.argv[1], 8080))
    elif sys.argv[2] == "sendmsg":
        n = s.sendmsg([request[:300], request[300:]], [], socket.MSG_FASTOPEN, (sys.argv[1], 8080))
    else:
        s.setsockopt(socket.IPPROTO_TCP, 30, 1) # TCP_FASTOPEN_CONNECT
        s.connect((sys.argv[1], 8080))
        n = s.send(request)
    got = b""
    while len(got) < 1000:
        got += s.recv(2000)
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    print(n, got == request[::-1], info[5] & 32)
    s.close()
`

func fastRig(t *testing.T) *rig {
	r := newRig(t, testbed.Config{})
	for _, n := range []*testbed.Node{r.Server, r.Client} {
		testrig.Run(t, n, "sysctl", "-qw", "net.ipv4.tcp_fastopen=3")
	}
	return r
}

func (r *rig) fastServer(t *testing.T, env []string, addr string) *testrig.Proc {
	s := testrig.Start(t, r.Server, env, "python3", "-c", fastServer, addr)
	t.Cleanup(func() { s.Stop(syscall.SIGKILL) })
	testrig.Until(t, "the server to listen", func() bool { return strings.Contains(s.Output(), "listening") })
	return s
}

func TestFastOpenByTheKernelsClient(t *testing.T) {
	r := fastRig(t)
	env := append(r.Env(), "SLUICE_LISTEN=8080", "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
	for _, addr := range []string{r.Server.IPv4.String(), r.Server.IPv6.String()} {
		s := r.fastServer(t, env, addr)
		testrig.Until(t, "packets through hidden queues", func() bool {
			before := r.packets()
			testrig.Run(t, r.Client, "python3", "-c", fastClient, addr, "sendto")
			return r.packets() > before
		})
		before := r.packets()
		out := testrig.Run(t, r.Client, "python3", "-c", fastClient, addr, "sendto")
		require.Equal(t, strings.Repeat("1000 True 32\n", 2), out, "the client has a cookie by now")
		require.Greater(t, r.packets(), before)
		require.True(t, strings.HasSuffix(s.Output(), strings.Repeat("syn data 32\n", 2)), s.Output())
		s.Stop(syscall.SIGTERM)
	}
}

func TestFastOpenToTheKernelsServer(t *testing.T) {
	r := fastRig(t)
	env := append(r.Env(), "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:8080", "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
	for addr, calls := range map[string][]string{r.Server.IPv4.String(): {"sendto", "connect"}, r.Server.IPv6.String(): {"sendmsg"}} {
		s := r.fastServer(t, nil, addr)
		for _, how := range calls {
			before := r.packets()
			out, errs, err := testrig.Try(r.Client, env, "python3", "-c", fastClient, addr, how)
			require.NoError(t, err, errs)
			require.Empty(t, errs)
			require.Equal(t, "1000 True 0\n1000 True 32\n", out, "%s: the first connection asks for a cookie", how)
			require.Greater(t, r.packets(), before)
		}
		require.Contains(t, s.Output(), "syn data 32\n")
		s.Stop(syscall.SIGTERM)
	}
}

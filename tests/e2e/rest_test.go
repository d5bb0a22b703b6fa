package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// While nginx is accelerated, the rest of the namespace stays the kernel's:
// sshd, what tcpdump sees of it, a second nginx, a UDP exchange.
func TestTheRestStaysWithTheKernel(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.accelerated()
	r.waitAccelerated(x)
	other := r.nginx(nil, nil, port(8080))
	load := startLoad(t, r, fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port), "keep", 8)
	t.Run("ssh seen by tcpdump", func(t *testing.T) { sshUnderTcpdump(t, r) })
	t.Run("second nginx", func(t *testing.T) {
		page, err := os.ReadFile(filepath.Join(other.Root(), "index.html"))
		require.NoError(t, err)
		url := fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, other.Port)
		require.Equal(t, string(page), testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", url))
	})
	t.Run("UDP", func(t *testing.T) { udpExchange(t, r) })
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	require.NotZero(t, res.Requests)
}

// sshUnderTcpdump logs into a real sshd and finds the session's packets in a
// capture on the accelerated device.
func sshUnderTcpdump(t *testing.T, r *rig) {
	sshd := startSSHD(t, r)
	dump := testrig.Start(t, r.Server, nil, "tcpdump", "-i", r.Server.Device, "-nn", "-l", "tcp", "port", "22")
	testrig.Until(t, "tcpdump to listen", func() bool { return strings.Contains(dump.Output(), "listening on") })
	out := sshd.login(t, r, "echo through-the-kernel")
	require.Equal(t, "through-the-kernel\n", out)
	testrig.Until(t, "packets of the session", func() bool { return strings.Count(dump.Output(), ".22") > 10 })
	dump.Stop(syscall.SIGINT)
}

type sshd struct{ key string }

// startSSHD runs Debian's sshd with keys of its own on port 22.
func startSSHD(t *testing.T, r *rig) *sshd {
	t.Helper()
	return startSSHDUnder(t, r, nil)
}

func startSSHDUnder(t *testing.T, r *rig, env []string) *sshd {
	t.Helper()
	dir := filepath.Join(r.Dir, "ssh")
	require.NoError(t, os.Mkdir(dir, 0o700))
	host, user := filepath.Join(dir, "host"), filepath.Join(dir, "user")
	for _, key := range []string{host, user} {
		testrig.Run(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	}
	require.NoError(t, os.MkdirAll("/run/sshd", 0o755))
	d := testrig.Start(t, r.Server, env, "/usr/sbin/sshd", "-D", "-e", "-p", "22", "-h", host, "-f", "/dev/null",
		"-o", "AuthorizedKeysFile="+user+".pub", "-o", "StrictModes=no", "-o", "PidFile=none", "-o", "UsePAM=no",
		"-o", "PermitRootLogin=yes")
	t.Cleanup(func() { d.Stop(syscall.SIGTERM) })
	testrig.Until(t, "sshd to listen", func() bool { return strings.Contains(r.listeners(), ":22 ") })
	return &sshd{key: user}
}

func (s *sshd) login(t *testing.T, r *rig, command string) string {
	t.Helper()
	return testrig.Run(t, r.Client, "ssh", "-i", s.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "root@"+r.Server.IPv4.String(), command)
}

const udpEcho = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 5353))
print("bound", flush=True)
data, peer = s.recvfrom(2048)
s.sendto(data[::-1], peer)
`

const udpAsk = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(15)
s.sendto(b"ecluls", (sys.argv[1], 5353))
print(s.recv(2048).decode())
`

func udpExchange(t *testing.T, r *rig) {
	addr := r.Server.IPv4.String()
	echo := testrig.Start(t, r.Server, nil, "/usr/bin/python3", "-c", udpEcho, addr)
	testrig.Until(t, "the UDP server", func() bool { return strings.Contains(echo.Output(), "bound") })
	require.Equal(t, "slulce\n", testrig.Run(t, r.Client, "/usr/bin/python3", "-c", udpAsk, addr))
	require.NoError(t, echo.Wait(testrig.Patience))
}

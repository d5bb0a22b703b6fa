package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// stranger is a web server that has nothing to do with another one on the same device, and is another user's.
type stranger struct {
	container
	port int
}

func (s *stranger) startOn(t *testing.T, r *rig, port int) {
	s.bed, s.port, s.page = r.Bed, port, fmt.Sprintf("page of port %d\n", port)
	dir := filepath.Join(r.Dir, fmt.Sprint(port))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page"), []byte(s.page), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), s.large(), 0o644))
	s.proc = testrig.Start(t, r.Server, append(r.Env(), fmt.Sprintf("SLUICE_LISTEN=%d", port)), "setpriv", "--reuid", fmt.Sprint(60000+port), "--clear-groups",
		testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--directory", dir, fmt.Sprint(port))
}

func (s *stranger) large() []byte { return []byte(strings.Repeat(s.page, 1<<18)) }

// connect opens the kept connection, which must not be one of the kernel's.
func (s *stranger) connect(t *testing.T, r *rig) {
	t.Helper()
	s.kept = r.dial(t, s.port)
	s.rd = bufio.NewReader(s.kept)
	s.get(t)
	require.Empty(t, r.kernelConnections(s.port))
}

// served waits until packets for the process come to all its queues: before, the kernel has those that would come to the others.
func (s *stranger) served(t *testing.T, r *rig) {
	testrig.Until(t, "queues of both programs", func() bool { return r.Status().QueuesByPID()[s.proc.Pid()] == 2 })
}

func (s *stranger) transfer(t *testing.T, r *rig) {
	t.Helper()
	out := testrig.Run(t, r.Client, "sh", "-c", fmt.Sprintf("curl -sS http://%s:%d/large | sha256sum", r.Server.IPv4, s.port))
	require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(s.large())), strings.Fields(out)[0])
}

// Two unrelated programs, of two users, are accelerated side by side on one device without filters. What becomes of one is nothing to the
// other, nor is the broker's death.
func TestStrangersOnOneDevice(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	var one, other stranger
	one.startOn(t, r, 8000)
	one.served(t, r)
	other.startOn(t, r, 9000)
	other.served(t, r)
	for range 8 { // whatever queue they arrive at
		one.connect(t, r)
		other.connect(t, r)
	}
	other.transfer(t, r)
	one.transfer(t, r)

	r.Broker.Stop(syscall.SIGKILL)
	other.get(t)
	r.StartBroker()
	other.served(t, r)
	one.served(t, r)
	other.get(t)
	one.get(t)
	other.connect(t, r)

	one.proc.Stop(syscall.SIGKILL)
	_, err := one.kept.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	other.get(t)
	one.startOn(t, r, 8000)
	one.served(t, r)
	one.connect(t, r)
	other.get(t)

	other.proc.Stop(syscall.SIGKILL)
	_, err = other.kept.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	one.get(t)
	c, err := dialOnce(r, 9000)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "nobody is left there")
	if err == nil {
		c.Close()
	}
}

func dialOnce(r *rig, port int) (c net.Conn, err error) {
	err = r.Client.Do(func() (err error) {
		c, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", r.Server.IPv4, port), testrig.Patience)
		return err
	})
	return c, err
}

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/tests/testrig"
)

// container is a web server in a network namespace of its own and, but for the first, a process namespace of its own. All have the same
// addresses, ports and device names; only their pages tell them apart.
type container struct {
	bed  *testbed.Bed
	page string
	proc *testrig.Proc
	kept net.Conn
	rd   *bufio.Reader
}

// One broker on the host serves the programs of three containers, each on its own device. What becomes of one is nothing to the others.
func TestContainers(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	all := []*container{{bed: r.Bed}, {bed: bedtest.New(t, testbed.Config{Queues: 2})}, {bed: bedtest.New(t, testbed.Config{Queues: 1})}}
	for i, c := range all {
		c.start(t, r, i)
	}
	testrig.Until(t, "each namespace's device to belong to its program", func() bool {
		for _, c := range all {
			if c.queues(r) != map[bool]int{true: 1, false: 2}[c == all[2]] {
				return false
			}
		}
		return len(r.Status().Leases) == len(all)
	})
	before := r.packets()
	for _, c := range all {
		require.NoError(t, c.bed.Client.Do(func() (err error) {
			c.kept, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:8000", c.bed.Server.IPv4), testrig.Patience)
			return err
		}))
		defer c.kept.Close()
		c.rd = bufio.NewReader(c.kept)
		c.get(t)
		out, _, _ := testrig.Try(c.bed.Server, nil, "ss", "-Htn", "state", "established", "sport = :8000")
		require.Empty(t, out, "connections of the kernel's")
	}
	require.Greater(t, r.packets(), before)
	all[1].proc.Stop(syscall.SIGKILL)
	testrig.Until(t, "the lease of the dead", func() bool { return len(r.Status().Leases) == 2 })
	_, err := all[1].kept.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	all[0].get(t)
	all[2].get(t)
	all[1].start(t, r, 1)
	testrig.Until(t, "the restarted one's queues", func() bool { return all[1].queues(r) == 2 })
	for i := range 2 {
		all[2*i].get(t)
	}
}

// start serves a page by python's server, which keeps connections.
func (c *container) start(t *testing.T, r *rig, i int) {
	c.page = fmt.Sprintf("page of container %d\n", i)
	dir := filepath.Join(r.Dir, fmt.Sprintf("container-%d", i))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page"), []byte(c.page), 0o644))
	run := []string{testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--directory", dir, "8000"}
	if i > 0 {
		run = append([]string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}, run...)
	}
	c.proc = testrig.Start(t, c.bed.Server, append(r.Env(), "SLUICE_LISTEN=8000"), run[0], run[1:]...)
}

// queues is how many queues of the container's device are a program's.
func (c *container) queues(r *rig) (n int) {
	for _, d := range r.Status().Devices {
		if d.NetNS == c.bed.Server.Inode() {
			for _, pid := range d.Owners {
				if pid != 0 {
					n++
				}
			}
		}
	}
	return n
}

// get requests the page over the kept connection.
func (c *container) get(t *testing.T) {
	t.Helper()
	c.kept.SetDeadline(time.Now().Add(testrig.Patience))
	_, err := io.WriteString(c.kept, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(c.rd, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, c.page, string(body))
}

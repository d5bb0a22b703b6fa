package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// A killed worker's peers are told within a second, the master's next worker
// serves accelerated, and nothing of the dead one is left.
func TestKilledWorker(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 4})
	x := r.accelerated()
	r.waitAccelerated(x)
	idle := r.dial(t, x.Port)
	require.NoError(t, getOver(idle))
	victim := x.WorkerPids()[0]
	require.NoError(t, syscall.Kill(victim, syscall.SIGKILL))
	killed := time.Now()
	idle.SetReadDeadline(killed.Add(testrig.Patience))
	_, err := idle.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	t.Logf("the idle peer was reset after %v", time.Since(killed))
	testrig.Until(t, "a new worker with queues", func() bool {
		held := r.Status().QueuesByPID()
		pids := x.WorkerPids()
		return len(pids) == 1 && pids[0] != victim && held[pids[0]] > 0 && held[victim] == 0
	})
	t.Logf("a new worker held queues after %v", time.Since(killed))
	before := r.packets()
	c := r.dial(t, x.Port)
	require.NoError(t, getOver(c))
	require.Empty(t, r.kernelConnections(x.Port))
	require.Greater(t, r.packets(), before)
}

// A killed broker disturbs nobody; the next one adopts what runs.
func TestKilledBroker(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 4})
	x := r.accelerated()
	r.waitAccelerated(x)
	kept := r.dial(t, x.Port)
	require.NoError(t, getOver(kept))
	load := startLoad(t, r, fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port), "close", 4)
	r.Broker.Stop(syscall.SIGKILL)
	time.Sleep(500 * time.Millisecond) // serve without any broker for a while
	require.NoError(t, getOver(kept), "without a broker")
	require.Empty(t, r.kernelConnections(x.Port), "without a broker")
	r.StartBroker()
	r.waitAccelerated(x) // the same pids, adopted
	require.NoError(t, getOver(kept), "after adoption")
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	require.NotZero(t, res.Requests)
	require.NoError(t, getOver(kept), "at the end")
}

// dial connects from the client's namespace.
func (r *rig) dial(t *testing.T, port int) net.Conn {
	t.Helper()
	var c net.Conn
	require.NoError(t, r.Client.Do(func() (err error) {
		c, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", r.Server.IPv4, port), testrig.Patience)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// getOver requests the 600-byte page over a kept connection.
func getOver(c net.Conn) error {
	c.SetDeadline(time.Now().Add(testrig.Patience))
	if _, err := io.WriteString(c, "GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	l := loader{keep: true, conn: c, rd: bufio.NewReader(c)}
	return l.answer()
}

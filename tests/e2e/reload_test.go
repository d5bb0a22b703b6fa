package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Five reloads under load lose no request, whether connections are kept or
// not.
func TestReloadLosesNothing(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 4})
	x := r.accelerated(workers(2))
	r.waitAccelerated(x)
	addr := fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port)
	kept := startLoad(t, r, addr, "keep", 16)
	closing := startLoad(t, r, addr, "close", 8)
	for range 5 {
		x.reload()
		time.Sleep(300 * time.Millisecond) // some load on the new workers
	}
	k, c := kept.finish(), closing.finish()
	require.Zero(t, k.Failed, "kept: %v", k.Errors)
	require.Zero(t, c.Failed, "closing: %v", c.Errors)
	require.NotZero(t, k.Requests)
	require.NotZero(t, c.Requests)
	t.Logf("kept %d requests (%d sent again), closing %d", k.Requests, k.Retried, c.Requests)
	r.requireAccelerated(x)
}

// reload sends SIGHUP and waits until the old workers are gone and the new
// ones hold queues.
func (x *server) reload() {
	x.T.Helper()
	old := x.WorkerPids()
	require.NoError(x.T, syscall.Kill(x.Master(), syscall.SIGHUP))
	testrig.Until(x.T, "the old workers to end", func() bool {
		for _, pid := range old {
			if testrig.Alive(pid) {
				return false
			}
		}
		return len(x.WorkerPids()) == x.Workers
	})
}

// `nginx -s quit` lets running requests end and the connections drain.
func TestQuitDrains(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.accelerated()
	x.file("slow", 4<<20)
	r.waitAccelerated(x)
	get := testrig.Start(t, r.Client, nil, "curl", "-sS", "-m", "60", "--limit-rate", "1M", "-o", filepath.Join(r.Dir, "slow"),
		"-w", "%{http_code} %{size_download}", fmt.Sprintf("http://%s:%d/slow", r.Server.IPv4, x.Port))
	testrig.Until(t, "the transfer to be under way", func() bool {
		st, err := os.Stat(filepath.Join(r.Dir, "slow"))
		return err == nil && st.Size() > 100<<10
	})
	require.NoError(t, syscall.Kill(x.Master(), syscall.SIGQUIT))
	require.NoError(t, get.Wait(2*testrig.Patience))
	require.Equal(t, "200 "+strconv.Itoa(4<<20), strings.TrimSpace(get.Output()))
	require.NoError(t, x.Wait(testrig.Patience))
}

// A new binary takes over (USR2), the old one drains (QUIT): no request is
// lost, and the new workers are accelerated.
func TestBinaryUpgrade(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", n), func(t *testing.T) { upgrade(t, n) })
	}
}

func upgrade(t *testing.T, n int) {
	r := newRig(t, testbed.Config{Queues: 4})
	x := r.accelerated(workers(n), daemon())
	r.waitAccelerated(x)
	load := startLoad(t, r, fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port), "close", 4)
	old := x.Master()
	t.Cleanup(func() { endMaster(t, old) })
	require.NoError(t, syscall.Kill(old, syscall.SIGUSR2))
	testrig.Until(t, "the new master", func() bool { return x.Master() != old && len(x.WorkerPids()) == n })
	r.waitAccelerated(x)
	require.NoError(t, syscall.Kill(old, syscall.SIGQUIT))
	testrig.Until(t, "the old master to end", func() bool { return !testrig.Alive(old) })
	r.waitAccelerated(x)
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	require.NotZero(t, res.Requests)
}

// endMaster ends a master that the pid file names no more, and waits for it;
// its workers end with it.
func endMaster(t *testing.T, pid int) {
	t.Helper()
	if !testrig.Alive(pid) {
		return
	}
	syscall.Kill(pid, syscall.SIGTERM)
	testrig.Until(t, "the old master to end", func() bool { return !testrig.Alive(pid) })
}

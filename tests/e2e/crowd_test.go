package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Six workers on two queues: two are accelerated, the kernel serves the others, and no connection is lost, whatever happens to the workers.
func TestMoreWorkersThanQueues(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	x := r.accelerated(workers(6))
	r.waitCrowd(x)
	addr := fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port)
	closing, kept := startLoad(t, r, addr, "close", 12), startLoad(t, r, addr, "keep", 12)
	r.everyWorkerServes(x)
	before := r.packets()
	testrig.Until(t, "connections of workers without a queue", func() bool { return len(r.kernelConnections(x.Port)) > 0 })
	x.reload()
	r.everyWorkerServes(x)
	for _, n := range []int{3, 2, 8} {
		x.setWorkers(n)
		x.reload()
		r.waitCrowd(x)
		r.everyWorkerServes(x)
	}
	k, c := kept.finish(), closing.finish()
	require.Zero(t, k.Failed, "kept: %v", k.Errors)
	require.Zero(t, c.Failed, "closing: %v", c.Errors)
	require.Greater(t, r.packets(), before)
	t.Logf("%d and %d requests, %d sent again", k.Requests, c.Requests, k.Retried)

	r.killOneOfACrowd(x, addr, func(queues int) bool { return queues > 0 })
	r.killOneOfACrowd(x, addr, func(queues int) bool { return queues == 0 })
}

// The same where each worker has a listener of its own: the kernel spreads its share over all of them.
func TestMoreWorkersThanQueuesByReusePort(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	x := r.accelerated(workers(5), func(x *nginx.Site) { x.Own = true })
	r.waitCrowd(x)
	addr := fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port)
	load := startLoad(t, r, addr, "close", 12)
	r.everyWorkerServes(x)
	x.reload()
	r.waitCrowd(x)
	r.everyWorkerServes(x)
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	r.killOneOfACrowd(x, addr, func(queues int) bool { return queues > 0 })
}

// setWorkers changes the configuration; the next reload sees it.
func (x *server) setWorkers(n int) {
	x.T.Helper()
	path := filepath.Join(x.Dir, "nginx.conf")
	text, err := os.ReadFile(path)
	require.NoError(x.T, err)
	now := strings.Replace(string(text), fmt.Sprintf("worker_processes %d;", x.Workers), fmt.Sprintf("worker_processes %d;", n), 1)
	require.NotEqual(x.T, string(text), now)
	require.NoError(x.T, os.WriteFile(path, []byte(now), 0o644))
	x.Workers = n
}

// killOneOfACrowd kills a worker: only its own connections are reset, and the others divide anew what it had.
func (r *rig) killOneOfACrowd(x *server, addr string, which func(queues int) bool) {
	const clients = 12
	held := r.Status().QueuesByPID()
	pids := x.WorkerPids()
	at := slices.IndexFunc(pids, func(pid int) bool { return which(held[pid]) })
	require.GreaterOrEqual(r.T, at, 0)
	load := startLoad(r.T, r, addr, "close", clients)
	require.NoError(r.T, syscall.Kill(pids[at], syscall.SIGKILL))
	testrig.Until(r.T, "another worker", func() bool {
		now := x.WorkerPids()
		return len(now) == x.Workers && !slices.Contains(now, pids[at])
	})
	r.waitCrowd(x)
	r.everyWorkerServes(x)
	res := load.finish()
	require.LessOrEqual(r.T, res.Failed, clients, "%v", res.Errors)
	for _, e := range res.Errors {
		require.True(r.T, strings.Contains(e, "reset") || strings.Contains(e, "EOF"), e)
	}
	require.NotZero(r.T, res.Requests)
}

// waitCrowd waits until every queue has a worker of now, and no worker more of them than another that has any.
func (r *rig) waitCrowd(x *server) {
	r.T.Helper()
	testrig.Until(r.T, "the queues to be divided:\n"+x.errorLog(), func() bool {
		st := r.Status()
		pids := x.WorkerPids()
		for _, d := range st.Devices {
			for _, pid := range d.Owners {
				if !slices.Contains(pids, pid) {
					return false
				}
			}
		}
		return len(st.Devices) > 0 && len(pids) == x.Workers && divided(st)
	})
}

// everyWorkerServes waits until each worker of now has answered a request.
func (r *rig) everyWorkerServes(x *server) {
	r.T.Helper()
	pids := x.WorkerPids()
	var served map[int]int
	for _, pid := range pids {
		testrig.Until(r.T, fmt.Sprintf("worker %d of %v to serve", pid, pids), func() bool {
			served = x.Served()
			return served[pid] > 0
		})
	}
	var by []int
	for _, pid := range pids {
		by = append(by, served[pid])
	}
	r.T.Logf("requests by worker: %v", by)
}

package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/wrk"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Sixty-four connections for five seconds: no socket error, nothing of it in
// the kernel's tables, every packet through the hidden queues, both workers
// at work.
func TestWrkSeesNoErrorAndTheKernelNoConnection(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 4})
	x := r.accelerated(workers(2))
	r.waitAccelerated(x)
	before := r.packets()
	w := testrig.Start(t, r.Client, nil, "wrk", "-t2", "-c64", "-d5s", fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
	deadline := time.After(testrig.Patience * 2)
	looks := 0
watch:
	for {
		select {
		case <-w.Done:
			break watch
		case <-deadline:
			t.Fatal("wrk does not end")
		case <-time.After(200 * time.Millisecond):
			require.Empty(t, r.kernelConnections(x.Port), "connections of the kernel's")
			require.Contains(t, r.listeners(), fmt.Sprintf(":%d ", x.Port))
			looks++
		}
	}
	require.NoError(t, w.Wait(testrig.Patience))
	require.Greater(t, looks, 5)
	res, err := wrk.Parse(w.Output())
	require.NoError(t, err)
	require.Zero(t, res.Errors, w.Output())
	require.NotZero(t, res.Requests)
	// A request is a packet in and a packet out at least.
	got := r.packets() - before
	require.GreaterOrEqual(t, got, uint64(2*res.Requests), "packets through the hidden queues")
	require.Len(t, x.Served(), 2, "workers that served: %v", x.Served())
	requireNoGo(t, x.Master())
	for _, pid := range x.WorkerPids() {
		requireUnprivileged(t, pid)
	}
}

// requireUnprivileged fails if a process has any effective capability.
func requireUnprivileged(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	require.Contains(t, string(status), "CapEff:\t0000000000000000\n", "capabilities of %d", pid)
}

// waitAccelerated waits until every worker holds queues, and no queue is on
// its way from one to another: new connections on such a one are the kernel's.
func (r *rig) waitAccelerated(x *server) {
	r.T.Helper()
	testrig.Until(r.T, "each worker to hold its share of the queues:\n"+x.errorLog(), func() bool {
		st := r.Status()
		held := st.QueuesByPID()
		for _, pid := range x.WorkerPids() {
			if held[pid] == 0 {
				return false
			}
		}
		return len(x.WorkerPids()) > 0 && divided(st)
	})
}

// divided tells whether every queue has an owner and no owner has two more
// than another.
func divided(st broker.Status) bool {
	for _, d := range st.Devices {
		held := map[int]int{}
		for _, pid := range d.Owners {
			held[pid]++
		}
		if held[0] > 0 {
			return false
		}
		shares := slices.Sorted(maps.Values(held))
		if n := len(shares); n > 0 && shares[n-1] > shares[0]+1 {
			return false
		}
	}
	return true
}

// packets is what went in and out through hidden queues so far.
func (r *rig) packets() uint64 {
	rx, tx := r.Status().Packets()
	return rx + tx
}

// requireAccelerated fails unless the program's packets went through hidden
// queues.
func (r *rig) requireAccelerated(x *server) {
	r.T.Helper()
	r.waitAccelerated(x)
	require.NotZero(r.T, r.packets(), "packets through hidden queues; nginx says:\n%s", x.errorLog())
	require.NotContains(r.T, strings.ToLower(x.errorLog()), "panic")
}

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/wrk"
)

// Sixty-four connections for five seconds: no socket error, nothing of it in
// the kernel's tables, every packet through the hidden queues, both workers
// at work.
func TestWrkSeesNoErrorAndTheKernelNoConnection(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 4})
	x := r.accelerated(workers(2))
	r.waitAccelerated(x)
	before := r.packets()
	w := start(t, r.Client, nil, "wrk", "-t2", "-c64", "-d5s", fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
	deadline := time.After(patience * 2)
	looks := 0
watch:
	for {
		select {
		case <-w.done:
			break watch
		case <-deadline:
			t.Fatal("wrk does not end")
		case <-time.After(200 * time.Millisecond):
			require.Empty(t, r.kernelConnections(x.Port), "connections of the kernel's")
			require.Contains(t, r.listeners(), fmt.Sprintf(":%d ", x.Port))
			looks++
		}
	}
	require.NoError(t, w.wait(patience))
	require.Greater(t, looks, 5)
	res, err := wrk.Parse(w.out.String())
	require.NoError(t, err)
	require.Zero(t, res.Errors, w.out.String())
	require.NotZero(t, res.Requests)
	// A request is a packet in and a packet out at least.
	got := r.packets() - before
	require.GreaterOrEqual(t, got, uint64(2*res.Requests), "packets through the hidden queues")
	require.Len(t, x.Served(), 2, "workers that served: %v", x.Served())
}

// waitAccelerated waits until every worker holds queues.
func (r *rig) waitAccelerated(x *server) {
	r.t.Helper()
	until(r.t, "each worker to hold a queue:\n"+x.errorLog(), func() bool {
		held := r.status().QueuesByPID()
		for _, pid := range x.WorkerPids() {
			if held[pid] == 0 {
				return false
			}
		}
		return len(x.WorkerPids()) > 0
	})
}

// packets is what went in and out through hidden queues so far.
func (r *rig) packets() uint64 {
	rx, tx := r.status().Packets()
	return rx + tx
}

// requireAccelerated fails unless the program's packets went through hidden
// queues.
func (r *rig) requireAccelerated(x *server) {
	r.t.Helper()
	r.waitAccelerated(x)
	require.NotZero(r.t, r.packets(), "packets through hidden queues; nginx says:\n%s", x.errorLog())
	require.NotContains(r.t, strings.ToLower(x.errorLog()), "panic")
}

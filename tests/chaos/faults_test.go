package chaos

import (
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// fault is one thing that goes wrong.
type fault struct {
	name string
	// breaks says which errors its clients may see while it lasts: none, of connections that were open, or of new ones, too.
	breaks harm
	do     func(h *host, rnd *rand.Rand)
}

type harm int

const (
	harmless    harm = iota
	outOfTime        // a server that times its clients by the wall clock may say that their time is over
	openConns        // connections that were open may be reset or closed
	unheard          // or never hear that their process has ended, as there was no broker to say so: docs/limits.md
	allConns         // and new ones refused
	unreachable      // and there is no way to the host
	refused     = allConns
)

// faults of a web server. After each of them host.whole waits until it serves again as before.
var faults = []fault{
	{"kill a worker", openConns, func(h *host, rnd *rand.Rand) {
		h.end(h.worker(rnd))
	}},
	{"kill all workers", allConns, func(h *host, _ *rand.Rand) { h.end(h.site.WorkerPids()...) }},
	{"kill master and workers", allConns, func(h *host, _ *rand.Rand) {
		all := append([]int{h.site.Master()}, h.site.WorkerPids()...) // the master first: it would start another worker
		h.end(all...)
		h.startNginx()
	}},
	{"kill the broker and a worker", unheard, func(h *host, rnd *rand.Rand) {
		h.rig.Broker.Stop(syscall.SIGKILL)
		h.end(h.worker(rnd))
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		h.rig.StartBroker()
	}},
	{"stop and continue a worker", harmless, func(h *host, rnd *rand.Rand) {
		pid := h.worker(rnd)
		h.kill(pid, syscall.SIGSTOP)
		pause(rnd)
		h.kill(pid, syscall.SIGCONT)
	}},
	{"stop and continue the master", harmless, func(h *host, rnd *rand.Rand) {
		h.kill(h.site.Master(), syscall.SIGSTOP)
		pause(rnd)
		h.kill(h.site.Master(), syscall.SIGCONT)
	}},
	{"kill the master, later its workers", allConns, func(h *host, rnd *rand.Rand) {
		pids := h.site.WorkerPids()
		h.end(h.site.Master())
		pause(rnd)
		require.NoError(h.t, h.queuesOf(pids), "they serve without their master")
		h.end(pids...)
		h.startNginx()
	}},
	{"no thread may be begun", harmless, func(h *host, rnd *rand.Rand) { h.limit(rnd, h.worker(rnd), threadLimit, 1) }},
	{"reload", harmless, func(h *host, _ *rand.Rand) {
		old := h.site.WorkerPids()
		h.kill(h.site.Master(), syscall.SIGHUP)
		h.drained(old...)
	}},
	{"reload, and kill a new worker", openConns, func(h *host, rnd *rand.Rand) {
		old := h.site.WorkerPids()
		h.kill(h.site.Master(), syscall.SIGHUP)
		time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
		h.end(h.worker(rnd))
		h.drained(old...)
	}},
}

// worker is one of nginx's.
func (h *host) worker(rnd *rand.Rand) int {
	pids := h.site.WorkerPids()
	require.NotEmpty(h.t, pids)
	return pids[rnd.IntN(len(pids))]
}

// end kills processes in this order, and waits until they are dead: whoever looks sooner finds all of them well.
func (h *host) end(pids ...int) {
	h.t.Helper()
	for _, pid := range pids {
		h.kill(pid, syscall.SIGKILL)
	}
	h.gone(pids)
}

// kill sends a signal to a process of this test. One that is gone meanwhile is as good as killed.
func (h *host) kill(pid int, sig syscall.Signal) {
	h.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		require.ErrorIs(h.t, err, syscall.ESRCH)
	}
}

// gone waits until processes have ended.
func (h *host) gone(pids []int) {
	h.t.Helper()
	testrig.Until(h.t, "the processes to end", func() bool {
		for _, pid := range pids {
			if testrig.Alive(pid) {
				return false
			}
		}
		return true
	})
}

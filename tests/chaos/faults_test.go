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
	openConns        // connections that were open may be reset or closed
	allConns         // and new ones refused
	unreachable      // and there is no way to the host
	refused     = allConns
)

// faults of a web server. After each of them host.whole waits until it serves again as before.
var faults = []fault{
	{"kill a worker", openConns, func(h *host, rnd *rand.Rand) {
		pids := h.site.WorkerPids()
		h.kill(pids[rnd.IntN(len(pids))], syscall.SIGKILL)
	}},
	{"kill all workers", allConns, func(h *host, _ *rand.Rand) {
		for _, pid := range h.site.WorkerPids() {
			h.kill(pid, syscall.SIGKILL)
		}
	}},
	{"kill master and workers", allConns, func(h *host, _ *rand.Rand) {
		all := append([]int{h.site.Master()}, h.site.WorkerPids()...) // the master first: it would start another worker
		for _, pid := range all {
			h.kill(pid, syscall.SIGKILL)
		}
		h.gone(all)
		h.startNginx()
	}},
	{"kill the broker and a worker", openConns, func(h *host, rnd *rand.Rand) {
		h.rig.Broker.Stop(syscall.SIGKILL)
		pids := h.site.WorkerPids()
		h.kill(pids[rnd.IntN(len(pids))], syscall.SIGKILL)
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		h.rig.StartBroker()
	}},
	{"stop and continue a worker", harmless, func(h *host, rnd *rand.Rand) {
		pids := h.site.WorkerPids()
		pid := pids[rnd.IntN(len(pids))]
		h.kill(pid, syscall.SIGSTOP)
		time.Sleep(time.Duration(50+rnd.IntN(400)) * time.Millisecond)
		h.kill(pid, syscall.SIGCONT)
	}},
	{"stop and continue the broker", harmless, func(h *host, rnd *rand.Rand) {
		h.kill(h.rig.Broker.Pid(), syscall.SIGSTOP)
		time.Sleep(time.Duration(50+rnd.IntN(400)) * time.Millisecond)
		h.kill(h.rig.Broker.Pid(), syscall.SIGCONT)
	}},
	{"reload", harmless, func(h *host, _ *rand.Rand) {
		old := h.site.WorkerPids()
		h.kill(h.site.Master(), syscall.SIGHUP)
		h.gone(old)
	}},
	{"reload, and kill a new worker", openConns, func(h *host, rnd *rand.Rand) {
		old := h.site.WorkerPids()
		h.kill(h.site.Master(), syscall.SIGHUP)
		time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
		pids := h.site.WorkerPids()
		h.kill(pids[rnd.IntN(len(pids))], syscall.SIGKILL)
		h.gone(old)
	}},
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
			if alive(pid) {
				return false
			}
		}
		return true
	})
}

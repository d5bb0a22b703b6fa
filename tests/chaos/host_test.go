package chaos

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/tests/testrig"
)

const (
	webPort = 8000
	workers = 2
)

// host is an accelerated nginx.
type host struct {
	*stand
	site nginx.Site
	conf string
	proc *testrig.Proc
}

func newHost(t *testing.T) *host {
	h := &host{stand: newStand(t, webPort, 4)}
	h.site = nginx.Site{Dir: filepath.Join(h.rig.Dir, "nginx"), Port: webPort, Backend: 1, Workers: workers}
	var err error
	h.conf, err = h.site.Write()
	require.NoError(t, err)
	require.NoError(t, h.site.File("big", 1<<20))
	h.much = bytes.Repeat([]byte("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"), 4)
	h.stand.pids = h.site.WorkerPids
	h.stand.said = func() string { return h.proc.Output() }
	h.startNginx()
	return h
}

func (h *host) startNginx() {
	old := h.site.Master()
	h.proc = testrig.Start(h.t, h.rig.Server, h.env(),
		testrig.Built(h.t, "sluice"), "run", "--", nginx.Path, "-c", h.conf)
	testrig.Until(h.t, "nginx to start", func() bool { return h.site.Master() != old && len(h.site.WorkerPids()) == workers })
	master := h.site.Master()
	h.t.Cleanup(func() { // before the master is killed, whose workers nobody would end
		if testrig.Alive(master) {
			all := append(h.site.WorkerPids(), master)
			h.kill(master, syscall.SIGTERM)
			h.gone(all)
		}
	})
}

// whole waits until every worker is accelerated: it has its share of the queues, and nobody else has any.
func (h *host) whole() {
	h.t.Helper()
	h.await("all workers to have queues", func() error {
		pids := slices.DeleteFunc(h.site.WorkerPids(), func(pid int) bool { return !testrig.Alive(pid) })
		if len(pids) != workers {
			return fmt.Errorf("workers: %v", pids)
		}
		return h.queuesOf(pids)
	})
}

package chaos

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

const proxyPort = 8080

// relay is an accelerated haproxy, a master and its worker, before a web server of the test's own.
type relay struct {
	*stand
	conf string
	proc *testrig.Proc
	*load
}

func newRelay(t *testing.T) *relay {
	const path = "/usr/sbin/haproxy"
	if _, err := os.Stat(path); err != nil {
		t.Skip("needs haproxy")
	}
	p := &relay{stand: newStand(t, proxyPort, 2)}
	p.stand.pids = p.workers
	p.stand.said = func() string { return p.proc.Output() }
	p.stand.wall = true // haproxy's now_ms follows CLOCK_REALTIME: by the kernel's path it answers 408 and 504 when that jumps, too
	p.much = bytes.Repeat([]byte("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"), 4)
	p.conf = filepath.Join(p.rig.Dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(p.conf, fmt.Appendf(nil, `
global
	nbthread 2
	stats socket %s/haproxy.sock mode 600 level admin expose-fd listeners
defaults
	mode http
	timeout connect 10s
	timeout client 30s
	timeout server 30s
	http-reuse never
frontend f
	bind %s:%d
	default_backend b
backend b
	server one 127.0.0.1:8081
`, p.rig.Dir, p.rig.Server.IPv4, proxyPort), 0o644))
	p.serve()
	p.start()
	return p
}

var proxied = bytes.Repeat([]byte("behind haproxy "), 40)

// serve is what haproxy passes on, by the kernel's loopback.
func (p *relay) serve() {
	var l net.Listener
	require.NoError(p.t, p.rig.Server.Do(func() (err error) {
		l, err = net.Listen("tcp4", "127.0.0.1:8081")
		return err
	}))
	big := make([]byte, 1<<20)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			_, _ = w.Write(big)
		} else {
			_, _ = w.Write(proxied)
		}
	})}
	go func() { _ = srv.Serve(l) }()
	p.t.Cleanup(func() { srv.Close() })
}

func (p *relay) start() {
	p.proc = testrig.Start(p.t, p.rig.Server, p.env(), testrig.Built(p.t, "sluice"), "run", "--", "/usr/sbin/haproxy", "-W", "-f", p.conf)
	p.t.Cleanup(p.kill)
}

// workers are the master's children; one that is to end has no queues any more.
func (p *relay) workers() (pids []int) {
	for _, f := range children(p.proc.Pid()) {
		pid, _ := strconv.Atoi(f)
		pids = append(pids, pid)
	}
	return pids
}

// kill ends the master first: it would end in its own way.
func (p *relay) kill() {
	all := p.workers()
	p.proc.Stop(syscall.SIGKILL)
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	testrig.Until(p.t, "haproxy to end", func() bool {
		for _, pid := range all {
			if testrig.Alive(pid) {
				return false
			}
		}
		return true
	})
}

func (p *relay) whole() {
	p.t.Helper()
	p.await("one haproxy, accelerated", func() error {
		pids := p.workers()
		if len(pids) != 1 {
			return fmt.Errorf("workers: %v", pids)
		}
		return p.queuesOf(pids)
	})
}

// firstPages has each of haproxy's threads serve: the set of one that never did has one descriptor less (seed 33: 6 epoll sets at the end, 5 before).
func (p *relay) firstPages() {
	first := startLoad(p.stand, proxied, 6)
	testrig.Until(p.t, "first pages", func() bool { return first.answered.Load() >= 100 })
	require.Empty(p.t, first.end())
	p.tour()
}

func (p *relay) tour() { time.Sleep(100 * time.Millisecond) }

func (p *relay) wounds() []wound {
	return []wound{
		{"kill haproxy", allConns, func(*stand, *rand.Rand) {
			p.kill()
			p.start()
		}},
		{"stop and continue haproxy", harmless, func(s *stand, rnd *rand.Rand) {
			pid := s.pid(rnd)
			require.NoError(p.t, syscall.Kill(pid, syscall.SIGSTOP))
			pause(rnd)
			require.NoError(p.t, syscall.Kill(pid, syscall.SIGCONT))
		}},
		{"stop and continue haproxy's master", harmless, func(_ *stand, rnd *rand.Rand) {
			p.proc.Signal(syscall.SIGSTOP)
			pause(rnd)
			p.proc.Signal(syscall.SIGCONT)
		}},
		{"reload haproxy", harmless, func(s *stand, rnd *rand.Rand) {
			old := s.pid(rnd)
			p.proc.Signal(syscall.SIGUSR2)
			p.drained(old)
			testrig.Until(p.t, "another worker alone", func() bool {
				pids := p.workers()
				return len(pids) == 1 && pids[0] != old
			})
		}},
	}
}

// TestProxy: whatever goes wrong, clients of haproxy see the errors that it explains, and no other.
func TestProxy(t *testing.T) {
	sideBySide(t)
	p := newRelay(t)
	p.whole()
	p.firstPages()
	aside := startBystander(t, p.rig)
	before := p.vitals()
	p.load = startLoad(p.stand, proxied, 6)
	rounds(t, proxy, p.stand, p, p.wounds())
	require.Empty(t, p.load.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	require.NotZero(t, p.answered.Load())
	p.noMoreThan(before)
	t.Logf("%d pages, %d requests failed as explained; the bystander made %d ways, the longest %v",
		p.answered.Load(), p.excused.Load(), aside.count, aside.slowly)
}

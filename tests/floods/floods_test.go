package floods

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/bench/procfs"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/tests/testrig"
)

// host is a rig with two nginx, one by the kernel and one accelerated, of one worker each; of several if a process has too few descriptors for
// the slow clients.
type host struct {
	t     *testing.T
	rig   *testrig.Rig
	flood string // programs
	sack  string
	slow  string
	rate  int // forged packets a second
	page  []byte
	sites [2]nginx.Site
}

const slow = 2000 // clients, of slowloris

var paths = [2]string{"kernel", "sluice"}

func newHost(t *testing.T) *host {
	workers := wanted(t, "SLT_FLOOD_WORKERS", 1+wanted(t, "SLT_FLOOD_SLOW", slow)/15000)
	h := &host{t: t, rig: testrig.New(t, testbed.Config{Queues: workers}), rate: wanted(t, "SLT_FLOOD_RATE", 20000)}
	h.flood, h.sack, h.slow = h.program("flood"), h.program("sack"), h.program("slow")
	for i := range 32 { // the forged sources: their SYN-ACKs find a device, and nobody
		ip := fmt.Sprintf("10.77.0.%d", 100+i)
		testrig.Run(t, h.rig.Server, "ip", "neigh", "add", ip, "lladdr", "02:00:00:00:00:00", "dev", h.rig.Server.Device, "nud", "permanent")
	}
	// A client whose ports are all in TIME-WAIT looks at each of them for every connection: it would be the client that is measured.
	testrig.Run(t, h.rig.Client, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 65535")
	for i := range paths {
		h.sites[i] = nginx.Site{Dir: filepath.Join(h.rig.Dir, paths[i]), Port: 8000 + i, Backend: 1, Workers: workers, Own: workers > 1, Connections: 30000}
		conf, err := h.sites[i].Write()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(h.sites[i].Root(), "big"), make([]byte, 1<<20), 0o644))
		cmd := []string{nginx.Path, "-c", conf}
		var env []string
		if i == 1 {
			env = append(h.rig.Env(), "SLUICE_LISTEN=8001")
			cmd = append([]string{testrig.Built(t, "sluice"), "run", "--"}, cmd...)
		}
		testrig.Start(t, h.rig.Server, env, cmd[0], cmd[1:]...)
		testrig.Until(t, "nginx to start", func() bool { return len(h.sites[i].WorkerPids()) == workers })
		site := h.sites[i]
		t.Cleanup(func() { // before the master is killed, whose worker nobody would end
			testrig.Try(nil, nil, "kill", strconv.Itoa(site.Master()))
			testrig.Until(t, "nginx to end", func() bool { return len(site.WorkerPids()) == 0 })
		})
	}
	testrig.Until(t, "nginx to be accelerated", func() bool {
		return h.accelerated()
	})
	page, err := os.ReadFile(filepath.Join(h.sites[0].Root(), "index.html"))
	require.NoError(t, err)
	h.page = page
	return h
}

// accelerated: every worker has a queue.
func (h *host) accelerated() bool {
	queues := h.rig.Status().QueuesByPID()
	for _, pid := range h.sites[1].WorkerPids() {
		if queues[pid] == 0 {
			return false
		}
	}
	return true
}

// program compiles one of prog/.
func (h *host) program(name string) string {
	path := filepath.Join(h.rig.Dir, name)
	out, err := exec.Command("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, "prog/"+name+".c").CombinedOutput()
	require.NoError(h.t, err, "%s", out)
	return path
}

func wanted(t *testing.T, name string, otherwise int) int {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// result is of one attack on one path: pages a second before and during, the workers' processor time for a page meanwhile (us), how long after it the
// next page came, and the workers' memory.
type result struct {
	calm, attacked float64
	cpu            float64
	recovery       time.Duration
	failed         int64
	before, most   memory // most: at the end of the attack, or after it
}

func (h *host) measure(i int, a attack) result {
	port := 8000 + i
	addr := fmt.Sprintf("%s:%d", h.rig.Server.IPv4, port)
	pids := h.sites[i].WorkerPids()
	c := startClients(h.rig.Client, addr, h.page)
	time.Sleep(200 * time.Millisecond)
	r := result{before: resident(h.t, pids)}
	r.calm = c.rate(time.Second)
	end := a.begin(h, addr, port)
	time.Sleep(500 * time.Millisecond)
	ran, served := h.ran(pids), c.served.Load()
	r.attacked = c.rate(2 * time.Second)
	r.cpu = float64((h.ran(pids) - ran).Microseconds()) / float64(max(c.served.Load()-served, 1))
	r.most = resident(h.t, pids)
	end()
	began := time.Now()
	served = c.served.Load()
	testrig.Until(h.t, "clients to be served again", func() bool { return c.served.Load() > served+4 })
	r.recovery, r.failed = time.Since(began), c.failed.Load()
	require.NoError(h.t, c.end())
	r.most = r.most.max(resident(h.t, pids))
	return r
}

func (h *host) ran(pids []int) time.Duration {
	d, err := procfs.RunTime(pids...)
	require.NoError(h.t, err)
	return d
}

// rounds are the results of one attack by both paths, in turn.
type rounds [2][]result

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// of is a figure of every round of a path.
func (r *rounds) of(path int, figure func(result) float64) (v []float64) {
	for _, one := range r[path] {
		v = append(v, figure(one))
	}
	return v
}

// ratios are sluice's to the kernel's, round by round: what disturbs the machine for seconds meets both.
func (r *rounds) ratios(figure func(result) float64) (v []float64) {
	for i := range r[0] {
		v = append(v, figure(r[1][i])/max(figure(r[0][i]), 1))
	}
	return v
}

func calm(r result) float64     { return r.calm }
func cpu(r result) float64      { return r.cpu }
func attacked(r result) float64 { return r.attacked }
func recovery(r result) float64 { return r.recovery.Seconds() * 1000 }
func own(r result) float64      { return float64(r.most.anon - r.before.anon) }
func packets(r result) float64  { return float64(r.most.shared - r.before.shared) }

func (r *rounds) row(name string) string {
	ratio, before := r.ratios(attacked), r.ratios(calm)
	return fmt.Sprintf("%-18s %7.0f %7.0f %7.0f %7.0f   %5.2f [%.2f … %.2f]   %5.2f [%.2f … %.2f]  %6.1f %6.1f  %6.0f %6.0f %8.0f %8.0f %8.0f", name,
		median(r.of(0, calm)), median(r.of(0, attacked)), median(r.of(1, calm)), median(r.of(1, attacked)),
		median(ratio), slices.Min(ratio), slices.Max(ratio), median(before), slices.Min(before), slices.Max(before),
		median(r.of(0, cpu)), median(r.of(1, cpu)), slices.Max(r.of(0, recovery)), slices.Max(r.of(1, recovery)), slices.Max(r.of(0, own)), slices.Max(r.of(1, own)), slices.Max(r.of(1, packets)))
}

// TestFloods prints, for each attack, what clients got on each path, in turn.
func TestFloods(t *testing.T) {
	if os.Getenv("SLT_FLOODS") == "" {
		t.Skip("make floods")
	}
	h, n := newHost(t), wanted(t, "SLT_FLOODS", 3)
	t.Logf("pages a second, medians of %d rounds; sluice to the kernel, round by round: medians [least … most]; us of the workers' processors for a page under attack; the longest wait for a page afterwards, ms; the workers' growth, KiB: own memory by either path, packet memory", n)
	t.Logf("%-18s %15s %15s   %-19s   %-19s  %13s  %13s %26s", "", "kernel", "sluice", "attacked", "calm", "us a page", "again after", "growth")
	for _, a := range attacks(wanted(t, "SLT_FLOOD_SLOW", slow)) {
		if only := os.Getenv("SLT_FLOOD_ONLY"); only != "" && !slices.ContainsFunc(strings.Split(only, ","), func(o string) bool { return strings.HasPrefix(a.name, o) }) {
			continue
		}
		var all rounds
		for round := range n {
			for k := range paths {
				i := (k + round) % len(paths)
				all[i] = append(all[i], h.measure(i, a))
				require.Less(t, all[i][round].recovery, 10*time.Second, "a busy machine takes its time")
			}
		}
		t.Log(all.row(a.name))
		workers := len(h.sites[1].WorkerPids())
		require.Less(t, slices.Max(all.of(1, own)), float64(workers*slack+perClient*a.held), "own memory of the accelerated workers under %s, KiB", a.name)
		require.LessOrEqual(t, slices.Max(all.of(1, packets)), float64(workers*packetMemory), "packet memory of the accelerated workers under %s, KiB", a.name)
	}
	require.True(t, h.accelerated(), "an engine failed")
}

// What the accelerated workers may grow by under an attack, in KiB.
const (
	packetMemory = 64 << 10 // a worker's, of which a page counts from its first use on
	slack        = 32 << 10 // a worker's: a heap that is not collected yet
	perClient    = 16       // a client's that stays: nginx itself holds 10, and the engine 4 to 6, which on the other path are the kernel's
)

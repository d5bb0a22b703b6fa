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
	workers := 1 + wanted(t, "SLT_FLOOD_SLOW", slow)/15000
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

// result is of one attack on one path: pages a second before and during, how long after it the next page came, and the worker's memory.
type result struct {
	calm, attacked float64
	recovery       time.Duration
	failed         int64
	before, after  int
}

func (h *host) measure(i int, a attack) result {
	port := 8000 + i
	addr := fmt.Sprintf("%s:%d", h.rig.Server.IPv4, port)
	pids := h.sites[i].WorkerPids()
	c := startClients(h.rig.Client, addr, h.page)
	time.Sleep(200 * time.Millisecond)
	r := result{before: rss(h.t, pids)}
	r.calm = c.rate(time.Second)
	end := a.begin(h, addr, port)
	time.Sleep(500 * time.Millisecond)
	r.attacked = c.rate(2 * time.Second)
	end()
	began, served := time.Now(), c.served.Load()
	testrig.Until(h.t, "clients to be served again", func() bool { return c.served.Load() > served+4 })
	r.recovery, r.failed = time.Since(began), c.failed.Load()
	require.NoError(h.t, c.end())
	r.after = rss(h.t, pids)
	return r
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// TestFloods prints, for each attack, what clients got on each path, in turn.
func TestFloods(t *testing.T) {
	if os.Getenv("SLT_FLOODS") == "" {
		t.Skip("make floods")
	}
	h, rounds := newHost(t), wanted(t, "SLT_FLOODS", 3)
	t.Logf("%-18s %28s %28s %7s", "attack", "kernel: calm, attacked (/s)", "sluice: calm, attacked (/s)", "ratio")
	for _, a := range attacks(wanted(t, "SLT_FLOOD_SLOW", slow)) {
		if only := os.Getenv("SLT_FLOOD_ONLY"); only != "" && !slices.ContainsFunc(strings.Split(only, ","), func(o string) bool { return strings.HasPrefix(a.name, o) }) {
			continue
		}
		var calm, attacked [2][]float64
		var last [2]result
		for round := range rounds {
			for k := range paths {
				i := (k + round) % len(paths)
				last[i] = h.measure(i, a)
				calm[i], attacked[i] = append(calm[i], last[i].calm), append(attacked[i], last[i].attacked)
				require.Less(t, last[i].recovery, 10*time.Second, "a busy machine takes its time")
			}
		}
		ratio := median(attacked[1]) / max(median(attacked[0]), 1)
		t.Logf("%-18s %14.0f %13.0f %14.0f %13.0f %7.2f   again after %v, %v; failed %d, %d; worker %d, %d KiB (before: %d, %d)", a.name, median(calm[0]), median(attacked[0]), median(calm[1]), median(attacked[1]), ratio,
			last[0].recovery.Round(time.Millisecond), last[1].recovery.Round(time.Millisecond), last[0].failed, last[1].failed, last[0].after, last[1].after, last[0].before, last[1].before)
		// Of a slow client nginx itself holds 10 KiB, and the engine 6, which on the other path are the kernel's.
		require.Less(t, last[1].after, last[1].before+256<<10+16*wanted(t, "SLT_FLOOD_SLOW", slow), "memory of the accelerated worker under %s", a.name)
	}
	require.True(t, h.accelerated(), "an engine failed")
}

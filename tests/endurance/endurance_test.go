package endurance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/testbed/wrk"
	"github.com/sluice-net/sluice/tests/testrig"
)

func wanted(t *testing.T, name string, otherwise int) int {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func compile(t *testing.T, r *testrig.Rig, source string) string {
	program := filepath.Join(r.Dir, strings.TrimSuffix(filepath.Base(source), ".c"))
	out, err := exec.Command("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// accelerated is how many processes have queues: one whose engine failed has none.
func accelerated(r *testrig.Rig) int {
	st, err := testrig.QueryStatus(r.Socket())
	if err != nil {
		return 0
	}
	return len(st.QueuesByPID())
}

// atRest waits until the engine accepts what connect makes: while queues change hands the kernel serves new connections.
func atRest(t *testing.T, r *testrig.Rig, connect func()) {
	look := func() (quiet, accepted uint64) {
		st := r.Status()
		return st.Devices[0].Counters["quiet_syn"], st.Sum("accepted")
	}
	testrig.Until(t, "queues to be at rest", func() bool {
		quiet, accepted := look()
		connect()
		quietNow, acceptedNow := look()
		return quietNow == quiet && acceptedNow > accepted
	})
}

// TestHold holds connections, SLT_HOLD of them, and uses each of them: no answer is missing or another's.
func TestHold(t *testing.T) {
	const port, workers, rounds = 9000, 6, 3
	n := wanted(t, "SLT_HOLD", 1800) / workers * workers
	r := testrig.New(t, testbed.Config{Queues: workers})
	program := compile(t, r, "prog/hold.c")
	testrig.Start(t, r.Server, append(r.Env(), fmt.Sprintf("SLUICE_LISTEN=%d-%d", port, port+workers-1)), testrig.Built(t, "sluice"), "run", "--",
		program, "serve", r.Server.IPv4.String(), fmt.Sprint(port), fmt.Sprint(workers))
	testrig.Until(t, "every process to be accelerated on every port", func() bool {
		listeners := 0
		for _, l := range r.Status().Leases {
			listeners += len(l.Listeners)
		}
		return accelerated(r) == workers && listeners == workers*workers
	})
	testrig.Run(t, r.Client, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")
	call := func(n, rounds int) *testrig.Proc {
		return testrig.Start(t, r.Client, nil, program, "call", r.Server.IPv4.String(), fmt.Sprint(port), fmt.Sprint(workers), fmt.Sprint(n), fmt.Sprint(rounds))
	}
	atRest(t, r, func() {
		c := call(8*workers, 1)
		require.NoError(t, c.Wait(testrig.Patience), c.Output())
	})
	began, counted := time.Now(), r.Status().Sum("accepted")
	all := call(n, rounds)
	require.NoError(t, all.Wait(10*time.Minute), all.Output())
	require.Equal(t, workers, strings.Count(all.Output(), fmt.Sprintf("open %d\n", n/workers)), all.Output())
	require.Equal(t, workers, strings.Count(all.Output(), fmt.Sprintf("used %d\n", n/workers)), all.Output())
	testrig.Until(t, "all to be counted as the engine's", func() bool { return r.Status().Sum("accepted") >= counted+uint64(n) })
	require.Equal(t, workers, accelerated(r))
	t.Logf("%d connections held and used %d times each, in %v", n, rounds, time.Since(began).Round(time.Millisecond))
}

// TestTurnover opens and closes connections to nginx, SLT_TURNOVER of them: each carries a page, and none fails.
func TestTurnover(t *testing.T) {
	const port = 8000
	n := wanted(t, "SLT_TURNOVER", 5000)
	r := testrig.New(t, testbed.Config{Queues: 1})
	site := nginx.Site{Dir: filepath.Join(r.Dir, "nginx"), Port: port, Backend: 1, Workers: 1, NoLog: true}
	conf, err := site.Write()
	require.NoError(t, err)
	server := testrig.Start(t, r.Server, append(r.Env(), fmt.Sprintf("SLUICE_LISTEN=%d", port)), testrig.Built(t, "sluice"), "run", "--", nginx.Path, "-c", conf)
	t.Cleanup(func() { // the master ends its worker
		server.Signal(syscall.SIGTERM)
		testrig.Until(t, "nginx to end", func() bool { return len(site.WorkerPids()) == 0 })
	})
	testrig.Until(t, "nginx to be accelerated", func() bool { return accelerated(r) == 1 })
	page := fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, port)
	atRest(t, r, func() { testrig.Run(t, r.Client, "curl", "-sSf", "-o", "/dev/null", page) })
	began, counted, served := time.Now(), r.Status().Sum("accepted"), 0
	for served < n {
		out := testrig.Run(t, r.Client, "wrk", "-t1", "-c32", "-d2s", "-H", "Connection: close", page)
		got, err := wrk.Parse(out)
		require.NoError(t, err)
		require.Zero(t, got.Errors, out)
		served += got.Requests
	}
	took := time.Since(began)
	testrig.Until(t, "all to be counted as the engine's", func() bool { return r.Status().Sum("accepted") >= counted+uint64(served) })
	require.Equal(t, 1, accelerated(r))
	t.Logf("%d connections opened, used and closed in %v (%.0f/s), none failed; worker: %s", served, took.Round(time.Second), float64(served)/took.Seconds(), memory(site.WorkerPids()[0]))
}

func memory(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS") {
			return strings.TrimSpace(line)
		}
	}
	return "?"
}

// TestWrap carries more octets both ways over one connection, accelerated at both ends, than there are sequence numbers; every octet is looked at.
func TestWrap(t *testing.T) {
	octets := wanted(t, "SLT_WRAP", 0)
	if octets == 0 {
		t.Skip("make wrap")
	}
	const port = 7000
	r := testrig.New(t, testbed.Config{Queues: 1, MTU: 3500})
	program := compile(t, r, "../chaos/prog/pair.c")
	run := func(node *testbed.Node, env string, args ...string) *testrig.Proc {
		return testrig.Start(t, node, append(r.Env(), env), testrig.Built(t, "sluice"), append([]string{"run", "--", program}, args...)...)
	}
	run(r.Server, fmt.Sprintf("SLUICE_LISTEN=%d", port), "serve", r.Server.IPv4.String(), fmt.Sprint(port))
	testrig.Until(t, "the server to be accelerated", func() bool { return accelerated(r) == 1 })
	began := time.Now()
	call := run(r.Client, "SLUICE_CONNECT=*:*", "call", r.Server.IPv4.String(), fmt.Sprint(port), "1", fmt.Sprint(octets))
	last := func() (n int) {
		text := call.Output()
		if at := strings.LastIndex(text, "octets "); at >= 0 {
			fmt.Sscan(text[at+len("octets "):], &n)
		}
		return n
	}
	for end := began.Add(30 * time.Minute); last() <= octets; time.Sleep(100 * time.Millisecond) { // one more is the next connection's
		require.NotContains(t, call.Output(), "error")
		require.NotContains(t, call.Output(), "wrong")
		require.True(t, time.Now().Before(end), "too slow: %d of %d", last(), octets)
	}
	require.Equal(t, 2, accelerated(r), "both ends")
	t.Logf("%d octets each way over one connection in %v", octets, time.Since(began).Round(time.Millisecond))
}

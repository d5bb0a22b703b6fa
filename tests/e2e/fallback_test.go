package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Whatever acceleration lacks, nginx serves through the kernel, and one line
// says why.
func TestServesThroughTheKernel(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, r *rig) (env, prefix []string)
		why  string // in the one line
		asks bool   // the broker is asked again and again
	}{
		{"no broker", func(t *testing.T, r *rig) (env, prefix []string) {
			return []string{"LD_PRELOAD=" + testrig.Built(t, "libsluice.so"), "SLUICE_BROKER=" + r.Dir + "/none.sock"}, nil
		}, "broker", false},
		{"an XDP program of somebody else's", func(t *testing.T, r *rig) (env, prefix []string) {
			foreignXDP(t, r.Server)
			return r.Env(), []string{testrig.Built(t, "sluice"), "run", "--"}
		}, "XDP", true},
		{"switched off", func(t *testing.T, r *rig) (env, prefix []string) {
			return append(r.Env(), "SLUICE=off"), []string{testrig.Built(t, "sluice"), "run", "--"}
		}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, testbed.Config{})
			env, prefix := c.make(t, r)
			x := r.nginx(env, prefix)
			page, err := os.ReadFile(filepath.Join(x.Root(), "index.html"))
			require.NoError(t, err)
			for range 3 {
				url := fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port)
				require.Equal(t, string(page), testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", url))
			}
			if c.asks {
				r.waitRefused(x, r.Client, r.Server.IPv4.String())
			}
			requireOneLine(t, x, c.why)
		})
	}
}

// Workers that were refused ask again though nobody connects to them: the one that got queues first would have all connections.
func TestIdleWorkersAskAgain(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	r.Broker.Stop(syscall.SIGKILL)
	x := r.nginx(append(r.Env(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so")), nil, workers(2))
	testrig.Until(t, "both workers to ask", func() bool { return strings.Count(x.errorLog(), "sluice: ") == 2 })
	r.StartBroker()
	r.waitAccelerated(x)
}

// idle is a server of one connection, which waits for it by one call.
const idle = `
import select, socket, sys
s = socket.create_server(("0.0.0.0", 8000), reuse_port=True)
if sys.argv[1] == "poll":
    p = select.poll()
    p.register(s, select.POLLIN)
    p.poll()
elif sys.argv[1] == "select":
    select.select([s], [], [])
s.accept()[0].sendall(sys.argv[1].encode())
`

// The same of programs that wait in other calls.
func TestIdleProgramsAskAgain(t *testing.T) {
	calls := []string{"poll", "select", "accept"}
	r := newRig(t, testbed.Config{Queues: len(calls)})
	r.Broker.Stop(syscall.SIGKILL)
	env := append(r.Env(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so"), "SLUICE_LISTEN=8000")
	var all []*testrig.Proc
	for _, c := range calls {
		all = append(all, testrig.Start(t, r.Server, env, "/usr/bin/python3", "-c", idle, c))
	}
	for i, p := range all {
		testrig.Until(t, calls[i]+" to ask", func() bool { return strings.Contains(p.Output(), "sluice: ") })
	}
	r.StartBroker()
	testrig.Until(t, "each to have a queue", func() bool {
		held := r.Status().QueuesByPID()
		return held[all[0].Pid()] == 1 && held[all[1].Pid()] == 1 && held[all[2].Pid()] == 1
	})
	left := slices.Clone(calls)
	for range calls {
		who := testrig.Run(t, r.Client, "/usr/bin/python3", "-c", "import socket; print(socket.create_connection(('"+r.Server.IPv4.String()+"', 8000), 60).recv(9).decode(), end='')")
		require.Contains(t, left, who)
		left = slices.DeleteFunc(left, func(c string) bool { return c == who })
		// Until it has ended it has its listener, which resets, as the kernel's do, what it gets and nobody accepts.
		require.NoError(t, all[slices.Index(calls, who)].Wait(testrig.Patience), who)
	}
}

// A listener that was refused is offered again though the program waits for one that was not, to which nobody connects: `make chaos SEED=3` took the
// device down while a worker began, which had its IPv6 listener refused, and without that was not like the other worker, who kept all queues.
func TestARefusedListenerBesideAnother(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	testrig.Run(t, r.Server, "ip", "-6", "addr", "flush", "dev", r.Server.Device)
	env := append(r.Env(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so"), "SLUICE_LISTEN=8000")
	p := testrig.Start(t, r.Server, env, "/usr/bin/python3", "-c", `
import select, socket
e = select.epoll()
both = [socket.create_server((a, 8000), family=f) for a, f in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6))]
for s in both:
    e.register(s, select.EPOLLIN)
print(e.poll())`)
	listens := func() []string {
		for _, l := range r.Status().Leases {
			if l.Pid == p.Pid() {
				return l.Listeners
			}
		}
		return nil
	}
	testrig.Until(t, "one listener to be refused", func() bool { return len(listens()) == 1 && len(r.Status().Refused) == 1 })
	testrig.Run(t, r.Server, "ip", "-6", "addr", "add", r.Server.IPv6.String()+"/64", "dev", r.Server.Device, "nodad")
	testrig.Until(t, "both listeners", func() bool { return len(listens()) == 2 })
	require.NotContains(t, p.Output(), "[(", "nothing was connected")
}

// A device that is down takes no queue; what comes over others is served.
func TestServesWhileTheDeviceIsDown(t *testing.T) {
	r := newRig(t, testbed.Config{})
	testrig.Run(t, r.Server, "ip", "link", "set", "lo", "up")
	testrig.Run(t, r.Server, "ip", "link", "set", r.Server.Device, "down")
	x := r.accelerated()
	page, err := os.ReadFile(filepath.Join(x.Root(), "index.html"))
	require.NoError(t, err)
	require.Equal(t, string(page), testrig.Run(t, r.Server, "curl", "-sS", "-m", "60", fmt.Sprintf("http://127.0.0.1:%d/index.html", x.Port)))
	r.waitRefused(x, r.Server, "127.0.0.1")
	requireOneLine(t, x, "device")
	testrig.Run(t, r.Server, "ip", "link", "set", r.Server.Device, "up")
	testrig.Until(t, "the page over the device", func() bool {
		got, _, err := testrig.Try(r.Client, nil, "curl", "-sS", "-m", "5", fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
		return err == nil && got == string(page) && r.Status().Queues() > 0
	})
	requireOneLine(t, x, "device")
}

// waitRefused asks for pages until the program has asked for both of its
// listeners a second time.
func (r *rig) waitRefused(x *server, from *testbed.Node, addr string) {
	r.T.Helper()
	testrig.Until(r.T, "a second attempt", func() bool {
		testrig.Run(r.T, from, "curl", "-sS", "-m", "60", "-o", "/dev/null", fmt.Sprintf("http://%s:%d/index.html", addr, x.Port))
		return strings.Count(r.Broker.Output(), "listen refused") >= 4
	})
}

// An unprivileged user without a broker is served by the kernel.
func TestServesWithoutCapabilities(t *testing.T) {
	r := newRig(t, testbed.Config{})
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "page"), []byte("hello\n"), 0o644))
	env := []string{"SLUICE_BROKER=" + r.Dir + "/none.sock"}
	p := testrig.Start(t, r.Server, env, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", readable(t, r, "sluice"), "run", "--",
		"/usr/bin/python3", "-u", "-m", "http.server", "--directory", r.Dir, "8000")
	testrig.Until(t, "python to listen", func() bool { return strings.Contains(r.listeners(), ":8000 ") })
	require.Equal(t, "hello\n", testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", fmt.Sprintf("http://%s:8000/page", r.Server.IPv4)))
	require.Contains(t, p.Output(), "broker")
}

// readable copies what make built to where every user can read it, and
// returns the path of one of the files there.
func readable(t *testing.T, r *rig, name string) string {
	t.Helper()
	dir := filepath.Join(r.Dir, "bin")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, f := range []string{"sluice", "libsluice.so", "libsluice_engine.so"} {
		data, err := os.ReadFile(testrig.Built(t, f))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, f), data, 0o755))
	}
	return filepath.Join(dir, name)
}

func requireOneLine(t *testing.T, x *server, why string) {
	t.Helper()
	var lines []string
	for _, l := range strings.Split(x.errorLog(), "\n") {
		if strings.Contains(l, "sluice: ") {
			lines = append(lines, l)
		}
	}
	if why == "" {
		require.Empty(t, lines)
		return
	}
	require.Len(t, lines, 1, "%s", x.errorLog())
	require.Contains(t, lines[0], why)
}

// foreignXDP attaches a program that passes everything.
func foreignXDP(t *testing.T, n *testbed.Node) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		License:      "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	require.NoError(t, err)
	defer prog.Close()
	require.NoError(t, n.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: n.Ifindex})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	}))
}

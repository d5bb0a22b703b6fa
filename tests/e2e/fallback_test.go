package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
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
			return []string{"LD_PRELOAD=" + built(t, "libsluice.so"), "SLUICE_BROKER=" + r.dir + "/none.sock"}, nil
		}, "broker", false},
		{"an XDP program of somebody else's", func(t *testing.T, r *rig) (env, prefix []string) {
			foreignXDP(t, r.Server)
			return r.env(), []string{built(t, "sluice"), "run", "--"}
		}, "XDP", true},
		{"switched off", func(t *testing.T, r *rig) (env, prefix []string) {
			return append(r.env(), "SLUICE=off"), []string{built(t, "sluice"), "run", "--"}
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
				require.Equal(t, string(page), run(t, r.Client, "curl", "-sS", "-m", "60", url))
			}
			if c.asks {
				r.waitRefused(x, r.Client, r.Server.IPv4.String())
			}
			requireOneLine(t, x, c.why)
		})
	}
}

// A device that is down takes no queue; what comes over others is served.
func TestServesWhileTheDeviceIsDown(t *testing.T) {
	r := newRig(t, testbed.Config{})
	run(t, r.Server, "ip", "link", "set", "lo", "up")
	run(t, r.Server, "ip", "link", "set", r.Server.Device, "down")
	x := r.accelerated()
	page, err := os.ReadFile(filepath.Join(x.Root(), "index.html"))
	require.NoError(t, err)
	require.Equal(t, string(page), run(t, r.Server, "curl", "-sS", "-m", "60", fmt.Sprintf("http://127.0.0.1:%d/index.html", x.Port)))
	r.waitRefused(x, r.Server, "127.0.0.1")
	requireOneLine(t, x, "device")
	run(t, r.Server, "ip", "link", "set", r.Server.Device, "up")
	until(t, "the page over the device", func() bool {
		got, _, err := try(r.Client, nil, "curl", "-sS", "-m", "5", fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
		return err == nil && got == string(page) && r.status().Queues() > 0
	})
	requireOneLine(t, x, "device")
}

// waitRefused asks for pages until the program has asked for both of its
// listeners a second time.
func (r *rig) waitRefused(x *server, from *testbed.Node, addr string) {
	r.t.Helper()
	until(r.t, "a second attempt", func() bool {
		run(r.t, from, "curl", "-sS", "-m", "60", "-o", "/dev/null", fmt.Sprintf("http://%s:%d/index.html", addr, x.Port))
		return strings.Count(r.broker.out.String(), "listen refused") >= 4
	})
}

// An unprivileged user without a broker is served by the kernel.
func TestServesWithoutCapabilities(t *testing.T) {
	r := newRig(t, testbed.Config{})
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "page"), []byte("hello\n"), 0o644))
	env := []string{"SLUICE_BROKER=" + r.dir + "/none.sock"}
	p := start(t, r.Server, env, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", readable(t, r, "sluice"), "run", "--",
		"/usr/bin/python3", "-u", "-m", "http.server", "--directory", r.dir, "8000")
	until(t, "python to listen", func() bool { return strings.Contains(r.listeners(), ":8000 ") })
	require.Equal(t, "hello\n", run(t, r.Client, "curl", "-sS", "-m", "60", fmt.Sprintf("http://%s:8000/page", r.Server.IPv4)))
	require.Contains(t, p.out.String(), "broker")
}

// readable copies what make built to where every user can read it, and
// returns the path of one of the files there.
func readable(t *testing.T, r *rig, name string) string {
	t.Helper()
	dir := filepath.Join(r.dir, "bin")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, f := range []string{"sluice", "libsluice.so", "libsluice_engine.so"} {
		data, err := os.ReadFile(built(t, f))
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

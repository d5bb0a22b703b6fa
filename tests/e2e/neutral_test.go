package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Under the preload object with nothing selected, programs do byte for byte
// what they do without it, and no Go is loaded.
func TestPreloadedWithNothingSelectedIsNeutral(t *testing.T) {
	r := newRig(t, testbed.Config{})
	preload := []string{"LD_PRELOAD=" + testrig.Built(t, "libsluice.so"), "SLUICE_LISTEN=none"}
	t.Run("curl", func(t *testing.T) {
		x := r.nginx(nil, nil)
		x.file("file", 3<<20)
		url := fmt.Sprintf("http://%s:%d/file", r.Server.IPv4, x.Port)
		plain, perr, err := testrig.Try(r.Client, nil, "curl", "-sS", "-m", "60", "-i", url)
		require.NoError(t, err, perr)
		under, uerr, err := testrig.Try(r.Client, preload, "curl", "-sS", "-m", "60", "-i", url)
		require.NoError(t, err, uerr)
		require.Equal(t, withoutDate(plain), withoutDate(under))
		require.Equal(t, perr, uerr)
	})
	t.Run("python http.server", func(t *testing.T) {
		require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "page"), []byte("hello\n"), 0o644))
		fetch := func(env []string) string {
			p := testrig.Start(t, r.Server, env, "/usr/bin/python3", "-u", "-m", "http.server", "--directory", r.Dir, "8000")
			testrig.Until(t, "python to listen", func() bool { return strings.Contains(r.listeners(), ":8000 ") })
			got := testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", "-i", fmt.Sprintf("http://%s:8000/page", r.Server.IPv4))
			requireNoGo(t, p.Pid())
			p.Stop(syscall.SIGTERM)
			return withoutDate(got) + withoutTime(p.Output())
		}
		require.Equal(t, fetch(nil), fetch(preload))
	})
	t.Run("sshd", func(t *testing.T) {
		s := startSSHDUnder(t, r, preload)
		require.Equal(t, "7\n", s.login(t, r, "echo $((3 + 4))"))
	})
}

// What the preload object adds to a program's start is printed, not judged:
// a busy machine would fail any bound.
func TestPreloadStartUpCost(t *testing.T) {
	env := append(os.Environ(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
	best := func(env []string) time.Duration {
		cmd := exec.Command("/bin/true")
		cmd.Env = env
		begin := time.Now()
		require.NoError(t, cmd.Run())
		return time.Since(begin)
	}
	var plain, under []time.Duration
	for range 101 {
		plain = append(plain, best(os.Environ()))
		under = append(under, best(env))
	}
	slices.Sort(plain)
	slices.Sort(under)
	t.Logf("/bin/true: median %v, under the preload object %v", plain[50], under[50])
}

func requireNoGo(t *testing.T, pid int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	require.NotContains(t, string(maps), "libsluice_engine", "the engine is loaded in %d", pid)
}

func withoutDate(s string) string {
	var kept []string
	for _, line := range strings.Split(s, "\n") {
		if !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "ETag:") && !strings.HasPrefix(line, "Last-Modified:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// withoutTime drops the bracketed time of python's access log.
func withoutTime(s string) string {
	a, b := strings.Index(s, "["), strings.Index(s, "]")
	if a < 0 || b < a {
		return s
	}
	return s[:a] + s[b:]
}

package suites

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// way is how a suite's programs are run. Every flag of `sluice run` is given, so that nothing of the caller's environment counts.
type way struct {
	name            string
	preloaded       bool
	listen, connect string
}

const both = "10.77.0.1/32:*,[fd77::1/128]:*"

var ways = []way{
	{"kernel", false, "", ""},
	{"passed", true, "none", "none"}, // preloaded, nothing selected
	{"accelerated", true, "*", both},
}

// command puts what accelerates in front of a program.
func (w way) command(t *testing.T, args ...string) []string {
	if !w.preloaded {
		return args
	}
	return append([]string{testrig.Built(t, "sluice"), "run", "--listen", w.listen, "--connect", w.connect, "--"}, args...)
}

// limit is for one run of one suite, in seconds: it ends what hangs.
const limit = "900"

// run runs a program of a suite on the mirrored host, in a folder, to its end, good or bad. What it writes is kept in a file of that
// name, below build/suites/log, and returned.
func (m *mirror) run(log string, w way, dir string, env []string, args ...string) string {
	m.T.Helper()
	inside := append([]string{"/bin/sh", "-c", `mount --bind "$0" /etc/hosts && cd "$1" && shift && exec "$@" 2>&1`, m.hosts, dir}, w.command(m.T, args...)...)
	return m.on(m.Server, log+"."+w.name, env, append([]string{"unshare", "-m", "--"}, inside...)...)
}

// on is run on one of the hosts.
func (m *mirror) on(node *testbed.Node, log string, env []string, args ...string) string {
	m.T.Helper()
	path := logOf(m.T, log)
	out, err := os.Create(path)
	require.NoError(m.T, err)
	cmd := exec.Command("timeout", append([]string{"-k", "10", limit}, args...)...)
	// Not to stderr: some tests take what their children write there for an error.
	cmd.Env = append(append(os.Environ(), "SLUICE_LOG="+strings.TrimSuffix(path, ".log")+".sluice"), append(m.Env(), env...)...)
	cmd.Stdout, cmd.Stderr = out, out // to be read while it runs
	if err = node.Start(cmd); err == nil {
		err = cmd.Wait()
	}
	out.Close()
	if err != nil {
		m.T.Logf("%s: %v", log, err)
	}
	text, err := os.ReadFile(path)
	require.NoError(m.T, err)
	require.NotContains(m.T, string(text), "panic:")
	return string(text)
}

// logOf is a file below build/suites/log.
func logOf(t *testing.T, name string) string {
	dir := filepath.Join(root(t), "log")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".log")
}

// root is where scripts/suites puts the suites.
func root(t *testing.T) string {
	dir, err := filepath.Abs("../../build/suites")
	require.NoError(t, err)
	return dir
}

// needs skips without `make suites`, and wants what its script makes.
func needs(t *testing.T, paths ...string) {
	t.Helper()
	if os.Getenv("SLT_SUITES") == "" {
		t.Skip("others' test suites at length: make suites")
	}
	for _, p := range paths {
		require.FileExists(t, p, "scripts/suites makes it")
	}
}

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// `sluice run` passes standard input, signals and the exit status through,
// with a broker of its own.
func TestRunIsTheCommandItself(t *testing.T) {
	r := newRig(t, testbed.Config{})
	sluice := testrig.Built(t, "sluice")
	shell := func(script string) *exec.Cmd {
		cmd := exec.Command(sluice, "run", "--", "/bin/sh", "-c", script)
		cmd.Env = append(os.Environ(), r.Env()...)
		return cmd
	}
	t.Run("exit status", func(t *testing.T) {
		cmd := shell("exit 42")
		require.Error(t, cmd.Run())
		require.Equal(t, 42, cmd.ProcessState.ExitCode())
	})
	t.Run("standard input and output", func(t *testing.T) {
		cmd := shell("tr a-z A-Z")
		cmd.Stdin = strings.NewReader("quiet\n")
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, "QUIET\n", string(out))
	})
	t.Run("signals", func(t *testing.T) {
		cmd := shell("kill -TERM $$")
		require.Error(t, cmd.Run())
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.True(t, status.Signaled())
		require.Equal(t, syscall.SIGTERM, status.Signal())
	})
	t.Run("a command that is not there", func(t *testing.T) {
		cmd := exec.Command(sluice, "run", "--", "no-such-command-here")
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 127, cmd.ProcessState.ExitCode())
		require.Contains(t, string(out), "no-such-command-here")
	})
	t.Run("bad knobs are named", func(t *testing.T) {
		cmd := exec.Command(sluice, "run", "--listen", "http", "--", "/bin/true")
		cmd.Env = append(os.Environ(), "SLUICE_LISTN=80")
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "SLUICE_LISTN")
		require.Contains(t, string(out), "SLUICE_LISTEN=")
	})
}

// Without a host's broker, root's `sluice run` brings one, which ends with
// the command and leaves nothing.
func TestRunBringsItsOwnBroker(t *testing.T) {
	r := newRig(t, testbed.Config{})
	own := []string{"SLUICE_BROKER=" + r.Dir + "/none.sock"}
	x := r.nginx(own, []string{testrig.Built(t, "sluice"), "run", "--"})
	page, err := os.ReadFile(filepath.Join(x.Root(), "index.html"))
	require.NoError(t, err)
	socket := fmt.Sprintf("/run/sluice/run-%d.sock", x.Master())
	testrig.Until(t, "acceleration by the command's own broker", func() bool {
		got := testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
		require.Equal(t, string(page), got)
		st, err := testrig.QueryStatus(socket)
		rx, tx := st.Packets()
		return err == nil && rx > 0 && tx > 0
	})
	x.quit()
	testrig.Until(t, "the command's broker to end", func() bool {
		_, err := os.Stat(socket)
		return os.IsNotExist(err)
	})
}

// Outgoing connections that SLUICE_CONNECT selects are accelerated, others
// are not.
func TestOutgoingConnections(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.nginx(nil, nil)
	sum1 := sum(t, x.file("file", 5<<20))
	for _, addr := range []string{r.Server.IPv4.String(), "[" + r.Server.IPv6.String() + "]"} {
		env := append(r.Env(), "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:80", "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
		before := r.packets()
		got := filepath.Join(r.Dir, "got")
		_, errs, err := testrig.Try(r.Client, env, "curl", "-sS", "-m", "120", "-o", got, "http://"+addr+"/file")
		require.NoError(t, err, errs)
		require.Equal(t, sum1, sum(t, got))
		require.Empty(t, errs)
		require.Greater(t, r.packets(), before, "packets through hidden queues")
	}
	env := append(r.Env(), "SLUICE_LISTEN=none", "SLUICE_CONNECT=192.0.2.0/24:80", "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
	before := r.packets()
	_, errs, err := testrig.Try(r.Client, env, "curl", "-sS", "-m", "60", "-o", "/dev/null", "http://"+r.Server.IPv4.String()+"/file")
	require.NoError(t, err, errs)
	require.Equal(t, before, r.packets())
}

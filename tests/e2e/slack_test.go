package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// TestOnlyTheRuntimesAreLate: the timers of the Go runtimes' threads may be late, in the broker and in a program; the program's own are as it was told, also by
// who started `sluice run`.
func TestOnlyTheRuntimesAreLate(t *testing.T) {
	r := testrig.New(t, testbed.Config{})
	first, others := slacks(t, r.Broker.Pid())
	require.NotEqual(t, "1000000", first)
	require.Contains(t, others, "1000000")

	p := testrig.Start(t, r.Server, append(r.Env(), "SLUICE_LISTEN=8000"), "/usr/bin/python3", "-c",
		"import ctypes, os, sys; ctypes.CDLL(None).prctl(29, 123457, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])",
		testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-u", "-m", "http.server", "--directory", r.Dir, "8000")
	testrig.Until(t, "queues", func() bool {
		if st := r.Status(); len(st.QueuesByPID()) == 1 {
			return true
		}
		testrig.Try(r.Client, nil, "curl", "-s", "-m", "1", fmt.Sprintf("http://%s:8000/", r.Server.IPv4))
		return false
	})
	first, others = slacks(t, p.Pid())
	require.Equal(t, "123457", first)
	require.Contains(t, others, "1000000")
}

// slacks are by how much timers of a process's first thread may be late, ns, and of its others.
func slacks(t *testing.T, pid int) (first string, others []string) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	require.NoError(t, err)
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/" + task.Name() + "/timerslack_ns")
		if err != nil { // it has ended
			continue
		}
		if s := strings.TrimSpace(string(b)); task.Name() == fmt.Sprint(pid) {
			first = s
		} else {
			others = append(others, s)
		}
	}
	return first, others
}

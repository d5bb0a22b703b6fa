package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Three programs that know nothing of each other listen on one port, each at an address of its own. Each gets what is its: the first by the
// device's queues, the second by spurs, the third, which is not selected, by the kernel.
func TestTheSamePortOfOtherAddresses(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	addrs := []string{r.Server.IPv4.String(), "10.77.0.9", "10.77.0.10"}
	for _, a := range addrs[1:] {
		testrig.Run(t, r.Server, "ip", "addr", "add", a+"/24", "dev", r.Server.Device)
	}
	var procs []*testrig.Proc
	for i, a := range addrs {
		dir := filepath.Join(r.Dir, a)
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "page"), []byte("page of "+a+"\n"), 0o644))
		run := []string{"/usr/bin/python3", "-u", "-m", "http.server", "--directory", dir, "--bind", a, "8000"}
		if i < 2 {
			run = append([]string{testrig.Built(t, "sluice"), "run", "--"}, run...)
		}
		procs = append(procs, testrig.Start(t, r.Server, r.Env(), run[0], run[1:]...))
		testrig.Until(t, "the server at "+a, func() bool { return strings.Contains(r.listeners(), a+":8000 ") })
		if i < 2 {
			testrig.Until(t, "its queues", func() bool { return r.Status().QueuesByPID()[procs[i].Pid()] == 2 })
		}
	}
	pages := func(of []string) {
		for _, a := range slices.Repeat(of, 5) {
			require.Equal(t, "page of "+a+"\n", testrig.Run(t, r.Client, "curl", "-sS", "-m", "60", fmt.Sprintf("http://%s:8000/page", a)))
		}
	}
	for i := range 2 {
		before := r.packets()
		pages(addrs[i : i+1])
		require.Greater(t, r.packets(), before, addrs[i])
	}
	before := r.packets()
	pages(addrs[2:])
	require.Equal(t, before, r.packets())
	procs[0].Stop(syscall.SIGTERM)
	testrig.Until(t, "the first to be gone", func() bool { return len(r.Status().Leases) == 1 })
	pages(addrs[1:])
	require.Greater(t, r.packets(), before)
	require.Equal(t, map[int]int{procs[1].Pid(): 2}, r.Status().QueuesByPID())
}

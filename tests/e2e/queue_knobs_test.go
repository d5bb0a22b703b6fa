package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// A broker with other rings, busy polling and huge pages serves as one without; pages that are not there are ordinary ones, and it says so.
func TestKnobsOfTheBroker(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	socket := filepath.Join(r.Dir, "second.sock")
	b := testrig.Start(t, nil, nil, testrig.Built(t, "sluice"), "broker", "--socket", socket, "--pins", filepath.Join(r.Dir, "bpf2", "sluice"),
		"--rings", "256", "--busy-poll", "50", "--busy-poll-budget", "32", "--huge-pages")
	defer b.Stop(unix.SIGTERM)
	_, stderr, err := testrig.Try(nil, nil, testrig.Built(t, "sluice"), "broker", "--socket", socket+"2", "--rings", "100")
	require.Error(t, err)
	require.Contains(t, stderr, "a power of two from 64 to 32768 is needed")
	testrig.Until(t, "the second broker's answer", func() bool { _, err := testrig.QueryStatus(socket); return err == nil })
	x := r.nginx([]string{"SLUICE_BROKER=" + socket}, []string{testrig.Built(t, "sluice"), "run", "--"}, workers(2))
	testrig.Until(t, "queues for both", func() bool {
		st, err := testrig.QueryStatus(socket)
		return err == nil && len(st.QueuesByPID()) == 2 && divided(st)
	})
	load := startLoad(t, r, fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port), "close", 8)
	r.everyWorkerServes(x)
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	st, err := testrig.QueryStatus(socket)
	require.NoError(t, err)
	rx, tx := st.Packets()
	require.Greater(t, rx+tx, uint64(res.Requests))
	meminfo, err := os.ReadFile("/proc/meminfo")
	require.NoError(t, err)
	if !strings.Contains(strings.ReplaceAll(string(meminfo), " ", ""), "HugePages_Free:0\n") {
		t.Skip("this machine has huge pages set aside: the fall-back was not seen")
	}
	require.Contains(t, b.Output(), "huge pages for a umem: map umem: cannot allocate memory; it gets ordinary ones")
	x.quit()
}

package shim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestDataRaces plays reuse.c with the C parts linked into it, all built with TSan: a preloaded object's functions run before TSan's are ready, a
// program's do not. The engine is as it is, so of the words that both share TSan sees what C does.
func TestDataRaces(t *testing.T) {
	if os.Getenv("SLT_RACES") == "" {
		t.Skip("make races")
	}
	n, err := strconv.Atoi(os.Getenv("SLT_RACES"))
	require.NoError(t, err)
	length := time.Duration(n) * time.Second
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program, other, said := filepath.Join(dir, "reuse"), filepath.Join(dir, "peer"), filepath.Join(dir, "tsan")
	sources, err := filepath.Glob("../../shim/*.c")
	require.NoError(t, err)
	args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-pthread", "-fPIE", "-pie", "-fsanitize=thread", "-o", program, "reuse/reuse.c"}
	out, err := exec.Command("gcc", slices.Concat(args, sources, []string{"-ldl"})...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Symlink(built(t, "libsluice_engine.so"), filepath.Join(dir, "libsluice_engine.so")))
	cc(t, other, "reuse/peer.c")

	own, peers := bed.Server.IPv4.String(), bed.Client.IPv4.String()
	stop := startPeer(t, bed.Client, exec.Command(other, own, "7001", peers, "7002"))
	c := exec.Command(program, own, "7001", peers, "7002", fmt.Sprint(length.Milliseconds()), "1")
	var text, counts bytes.Buffer
	c.Env = []string{"SLUICE_BROKER=" + socket, "SLUICE_CONNECT=*:*", "TSAN_OPTIONS=exitcode=0 log_path=" + said}
	c.Stdout, c.Stderr = &text, &counts
	require.NoError(t, bed.Server.Start(c))
	defer time.AfterFunc(length+2*time.Minute, func() { _ = c.Process.Kill() }).Stop()
	err = c.Wait()
	t.Log(counts.String())
	reports, _ := filepath.Glob(said + ".*")
	for _, r := range reports {
		found, err := os.ReadFile(r)
		require.NoError(t, err)
		t.Errorf("%s", found)
	}
	require.NoError(t, err)
	require.Empty(t, stop())
	require.Equal(t, "0 wrong\n", text.String())
	bedtest.Until(t, "connections of both kinds to be counted", func() bool {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && st.Ended["accepted"] > 20 && st.Ended["connected"] > 20
	})
}

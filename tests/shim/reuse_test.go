package shim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestDescriptorReuse lets threads open, duplicate and close on the same few numbers, by the kernel and accelerated (both directions): no octet
// may come from where it does not belong. `make stress SECONDS=3600` does it for long.
func TestDescriptorReuse(t *testing.T) {
	length, seed := 1200*time.Millisecond, int64(1)
	if s := os.Getenv("SLT_STRESS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		length, seed = time.Duration(n)*time.Second, time.Now().UnixNano()%1e9
	}
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program, other := filepath.Join(dir, "reuse"), filepath.Join(dir, "peer")
	cc(t, program, "reuse/reuse.c")
	cc(t, other, "reuse/peer.c")
	for _, way := range []struct {
		name   string
		length time.Duration
		env    []string
	}{
		{"kernel", min(length, 10*time.Second), nil},
		{"accelerated", length, []string{"LD_PRELOAD=" + built(t, "libsluice.so"), "SLUICE_BROKER=" + socket, "SLUICE_CONNECT=*:*"}},
	} {
		t.Run(way.name, func(t *testing.T) {
			own, peers := bed.Server.IPv4.String(), bed.Client.IPv4.String()
			stop := startPeer(t, bed.Client, exec.Command(other, own, "7001", peers, "7002"))
			c := exec.Command(program, own, "7001", peers, "7002", fmt.Sprint(way.length.Milliseconds()), fmt.Sprint(seed))
			var out, counts bytes.Buffer
			c.Env, c.Stdout, c.Stderr = way.env, &out, &counts
			began := time.Now()
			require.NoError(t, bed.Server.Start(c))
			defer time.AfterFunc(way.length+2*time.Minute, func() { _ = c.Process.Kill() }).Stop()
			err := c.Wait()
			t.Logf("seed %d, %v: %s", seed, time.Since(began).Round(time.Second), counts.String())
			peerSaid := stop()
			require.Equal(t, "0 wrong\n", out.String(), "%s%s", counts.String(), peerSaid)
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(began), way.length)
			require.Empty(t, peerSaid)
		})
	}
	bedtest.Until(t, "connections of both kinds to be counted", func() bool {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && st.Ended["accepted"] > 20 && st.Ended["connected"] > 20
	})
}

// startPeer starts the other end; stop, at the latest the test's end, ends it and returns what it said.
func startPeer(t *testing.T, n *testbed.Node, c *exec.Cmd) (stop func() string) {
	t.Helper()
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	require.NoError(t, n.Start(c))
	stop = sync.OnceValue(func() string {
		_ = c.Process.Kill()
		_ = c.Wait()
		return said.String()
	})
	t.Cleanup(func() { stop() })
	return stop
}

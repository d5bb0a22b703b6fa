package shim

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestEpollScenariosOverTheEngine runs the scenarios of tests/shim/epoll, and its random calls, over the real engine.
func TestEpollScenariosOverTheEngine(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	program := filepath.Join(dir, "scenarios")
	cc(t, program, "epoll/testdata/rig.c", "epoll/testdata/basic.c", "epoll/testdata/calls.c", "epoll/testdata/threads.c", "epoll/testdata/life.c", "epoll/testdata/edges.c")
	socket := startBroker(t, dir)
	place := []string{"SLT_HOST=" + bed.Server.IPv4.String(), "SLT_PEER_NS=" + bed.Client.Path()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket)
	saw := func(t *testing.T, env []string, args ...string) string {
		c := exec.Command(program, append([]string{bed.Server.IPv4.String()}, args...)...)
		return outputOf(t, c, bed.Server.Start, env...)
	}
	for _, name := range strings.Fields(saw(t, place, "list")) {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, saw(t, place, name), saw(t, preload, name))
		})
	}
	for _, seed := range []string{"1", "2", "3", "4"} {
		t.Run("random "+seed, func(t *testing.T) {
			require.Equal(t, saw(t, place, "random", seed, "100"), saw(t, preload, "random", seed, "100"))
		})
	}
	bedtest.Until(t, "connections of the engine to be counted", func() bool {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && st.Ended["accepted"] > 0
	})
}

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

// TestDualStack: sockets of AF_INET6 with peers of IPv4 and of IPv6, listening and connecting, see the same by the kernel and accelerated:
// addresses, IPV6_V6ONLY, who is refused. Each case is run until as many of its connections as the kernel made were the engine's.
func TestDualStack(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program := filepath.Join(dir, "dual")
	cc(t, program, "dual/dual.c")
	place := []string{"SLT_HOST=" + bed.Server.IPv4.String(), "SLT_HOST6=" + bed.Server.IPv6.String(), "SLT_PEER_NS=" + bed.Client.Path(),
		"SLT_PEER_HOST=" + bed.Client.IPv4.String(), "SLT_PEER_HOST6=" + bed.Client.IPv6.String()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket, "SLUICE_CONNECT=*:*", "SLUICE_LOG=off")
	made := func() uint64 {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		require.NoError(t, err)
		return st.Ended["accepted"] + st.Ended["connected"]
	}
	for _, c := range []struct {
		name        string
		connections uint64
	}{{"any", 2}, {"any-moved", 2}, {"mapped", 1}, {"mapped-any", 1}, {"six", 1}, {"only", 1}, {"both", 2}, {"connecting", 6}} {
		t.Run(c.name, func(t *testing.T) {
			kernel := outputOf(t, exec.Command(program, c.name), bed.Server.Start, place...)
			require.NotContains(t, kernel, "failed:")
			before := made()
			bedtest.Until(t, "all connections to be the engine's", func() bool {
				require.Equal(t, strings.Split(kernel, "\n"), strings.Split(outputOf(t, exec.Command(program, c.name), bed.Server.Start, preload...), "\n"))
				now := made()
				full := now >= before+c.connections
				before = now
				return full
			})
		})
	}
}

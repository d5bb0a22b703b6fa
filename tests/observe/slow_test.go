package observe

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// A call that keeps the program longer than it wants to is told, with its name.
func TestSlowCalls(t *testing.T) {
	r := newRig(t)
	log := filepath.Join(r.Dir, "log")
	s, c := r.puppet(r.Server, append(r.Env(), "SLUICE_SLOW_USEC=1", "SLUICE_LOG="+log)), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept l x")
	c.do("send x 50000")
	s.do("recv x 50000")
	s.do("send x 50000")
	c.do("recv x 50000")
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Regexp(t, `slow: sl_listen took \d+ us`, string(text))
	require.Regexp(t, `slow: sl_(recv|send) took \d+ us`, string(text))
}

// The probes are there for bpftrace and perf, with their arguments.
func TestProbes(t *testing.T) {
	out := testrig.Run(t, nil, "readelf", "-n", "-W", testrig.Built(t, "libsluice.so"))
	for _, name := range []string{"engine_start", "listen", "accept", "connect", "recv", "send", "close", "handover", "sleep", "wake"} {
		require.Regexp(t, `(?s)Provider: sluice\s+Name: `+name+`\s`, out)
	}
	require.Regexp(t, `Name: recv\s+Location: 0x[0-9a-f]+, Base: 0x[0-9a-f]+, Semaphore: 0x0+\s+Arguments: -?\d@\S+ -?\d@\S+`, out)
}

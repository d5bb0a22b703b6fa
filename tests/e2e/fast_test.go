package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/wrk"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Without its short cuts the whole does the same: every other test here runs with all of them.
func TestWithoutShortCuts(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.nginx(append(r.Env(), "SLUICE_FAST=none"), []string{testrig.Built(t, "sluice"), "run", "--"})
	r.waitAccelerated(x)
	url := fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port)
	for _, args := range [][]string{{url}, {"-H", "Connection: close", url}} {
		before := r.packets()
		w := testrig.Start(t, r.Client, nil, "wrk", append([]string{"-t1", "-c16", "-d1s"}, args...)...)
		require.NoError(t, w.Wait(2*testrig.Patience))
		res, err := wrk.Parse(w.Output())
		require.NoError(t, err)
		require.Zero(t, res.Errors, w.Output())
		require.NotZero(t, res.Requests)
		require.GreaterOrEqual(t, r.packets()-before, uint64(2*res.Requests), "packets through the hidden queues")
	}
}

package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/wrk"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Programs that follow each other connect from the same ports, of which the server has the last connections in TIME-WAIT: to it their timestamps
// and numbers go on where those of the one before left off.
func TestProgramsInTurnConnectFromTheSamePorts(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 1})
	x := r.accelerated(workers(1))
	r.waitAccelerated(x)
	env := append(r.Env(), "SLUICE_LISTEN=none", fmt.Sprintf("SLUICE_CONNECT=*:%d", x.Port))
	for range 4 {
		out, errs, err := testrig.Try(r.Client, env, testrig.Built(t, "sluice"), "run", "--", "wrk", "-t1", "-c16", "-d1s", "-H", "Connection: close",
			fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
		require.NoError(t, err, errs)
		res, err := wrk.Parse(out)
		require.NoError(t, err)
		require.Zero(t, res.Errors, out)
		require.NotZero(t, res.Requests)
	}
	counts := r.plainCounts()
	require.Zero(t, counts["TcpExtPAWSTimewait"])
	require.NotZero(t, counts["TcpPassiveOpens"])
}

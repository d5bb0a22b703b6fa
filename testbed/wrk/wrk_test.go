package wrk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const good = `Running 5s test @ http://10.77.0.1:80/index.html
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  309.01us   9.10ms   87.70%
    Req/Sec    30.37k     2.55k   36.06k    72.00%
  Latency Distribution
     50%    1.01ms
     75%    1.14ms
     90%    1.33ms
     99%    2.10ms
  302167 requests in 5.00s, 241.49MB read
`

func TestParse(t *testing.T) {
	r, err := Parse(good + "Requests/sec:  60384.41\nTransfer/sec:     48.26MB\n")
	require.NoError(t, err)
	require.Equal(t, Result{Requests: 302167, PerSecond: 60384.41, P50: 1010 * time.Microsecond, P99: 2100 * time.Microsecond}, r)
	r, err = Parse(good + "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\nRequests/sec:  1.5\n")
	require.NoError(t, err)
	require.Equal(t, 54321, r.Errors)
	_, err = Parse("unable to connect")
	require.Error(t, err)
}

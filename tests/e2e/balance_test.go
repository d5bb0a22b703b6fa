package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Four workers with a listener each, on four queues: connections are spread over them as the kernel spreads them over such a group (SO_REUSEPORT),
// evenly but for chance. 0.08 is more than six standard deviations of a worker's part of so many.
func TestReusePortGroupsBalance(t *testing.T) {
	const many, fair, chance = 1200, 0.25, 0.08
	r := newRig(t, testbed.Config{Queues: 4})
	own := func(x *nginx.Site) { x.Own = true }
	accelerated, kernel := r.accelerated(workers(4), own), r.nginx(nil, nil, workers(4), own, port(8080))
	r.waitAccelerated(accelerated)
	for name, x := range map[string]*server{"the kernel": kernel, "sluice": accelerated} {
		before := x.Served()
		load := startLoad(t, r, fmt.Sprintf("%s:%d", r.Server.IPv4, x.Port), "close", 12)
		var by []int
		testrig.Until(t, "enough connections", func() bool {
			by = nil
			sum, now := 0, x.Served()
			for _, pid := range x.WorkerPids() {
				by = append(by, now[pid]-before[pid])
				sum += now[pid] - before[pid]
			}
			return sum >= many
		})
		require.Zero(t, load.finish().Failed)
		sum := 0
		for _, n := range by {
			sum += n
		}
		for _, n := range by {
			require.InDelta(t, fair, float64(n)/float64(sum), chance, "%s: connections by worker: %v", name, by)
		}
		t.Logf("%s: connections by worker: %v", name, by)
	}
}

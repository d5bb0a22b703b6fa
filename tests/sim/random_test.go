package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-net/sluice/ustack/tcp"
)

var (
	first = flag.Uint64("seed", 1, "first schedule of TestRandomSchedules")
	count = flag.Uint64("schedules", 150, "number of schedules of TestRandomSchedules")
)

// TestRandomSchedules draws everything from one number: link, memory, MTU, what the ends can do, how the programs read
// and write. A failing seed is run alone with: go test ./tests/sim -run RandomSchedules -args -seed=N -schedules=1
func TestRandomSchedules(t *testing.T) {
	for seed := *first; seed < *first+*count; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c, size := schedule(seed)
			transfer(t, c, size)
		})
	}
}

func schedule(seed uint64) (config, int) {
	r := rand.New(rand.NewPCG(seed, 77))
	pick := func(of ...float64) float64 { return of[r.IntN(len(of))] }
	c := config{seed: seed, v6: r.IntN(3) == 0, frames: int(pick(48, 128, 512, 2048)), mtu: int(pick(1500, 1500, 1280, 3000))}
	for i := range c.link {
		delay := int64(pick(0, 0.01, 1, 20, 100) * float64(ms))
		c.link[i] = Link{Delay: delay, Jitter: int64(pick(0, 0.1, 1) * float64(delay)), Loss: pick(0, 0, 0.001, 0.01, 0.1),
			Dup: pick(0, 0, 0.01, 0.2), Reorder: pick(0, 0, 0.01, 0.2), Hold: int64(pick(0.01, 1, 30) * float64(ms)),
			Corrupt: pick(0, 0, 0.01), Rate: int64(pick(0, 0, 1e6, 1e7, 1e9)), Queue: int(pick(5, 50, 500))}
	}
	c.params = func(host int, p *tcp.Params) {
		o := rand.New(rand.NewPCG(seed, uint64(host)))
		yes := func() bool { return o.IntN(4) != 0 }
		p.SACK, p.Timestamps, p.WindowScaling, p.DSACK, p.FRTO = yes(), yes(), yes(), yes(), yes()
		p.ECN = o.IntN(3)
		if !yes() {
			p.Congestion = "reno"
		}
		if !yes() {
			p.Rmem = [3]int{4096, 8192, 16384}
		}
	}
	return c, int(pick(0, 1, 1000, 30_000, 150_000))
}

package sim

import (
	"flag"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 1, "first schedule of TestSchedules")
	schedules = flag.Uint64("schedules", 20_000, "number of schedules of TestSchedules")
	dump      = flag.Bool("dump", false, "print each packet that is sent; for one schedule")
)

// TestSchedules plays a plan for each seed. A failing one is shrunk and printed; it belongs into testdata/seeds then. It is
// run alone with:
//
//	go test ./tests/sim -run TestSchedules -args -seed=N -schedules=1
func TestSchedules(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n = min(n, 1000)
	}
	next, last := new(atomic.Uint64), *firstSeed+n
	next.Store(*firstSeed)
	var packets, took atomic.Int64
	began := time.Now()
	t.Cleanup(func() {
		t.Logf("%d schedules, %d packets, %.0f h of virtual time in %.1f s", n, packets.Load(), float64(took.Load())/3600e9,
			time.Since(began).Seconds())
	})
	for range runtime.GOMAXPROCS(0) {
		t.Run("worker", func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1) - 1; seed < last && !t.Failed(); seed = next.Add(1) - 1 {
				p := drawPlan(seed)
				r := p.run()
				packets.Add(int64(r.packets))
				took.Add(r.took)
				if r.err != nil {
					report(t, p, r.err)
				}
			}
		})
	}
}

// report says what failed, and by how little it can be made to fail.
func report(t *testing.T, p *plan, err error) {
	small, why, tries := shrink(p, 5*time.Second)
	t.Errorf("seed %d: %v\n\nshrunk in %d runs to\n%s\nwhich fails with: %v", p.Seed, err, tries, small, why)
}

// TestSameSeedSameTrace: a seed gives the same packets at the same times, however often and beside whatever else it runs.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			a, b := drawPlan(seed).run(), drawPlan(seed).run()
			if a.trace != b.trace || a.packets != b.packets || a.took != b.took {
				t.Errorf("%d packets, trace %x; then %d packets, trace %x", a.packets, a.trace, b.packets, b.trace)
			}
		})
	}
}

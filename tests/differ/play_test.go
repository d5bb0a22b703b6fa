package differ

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAccepted is of connections that a listener of the program's accepted.
func TestAccepted(t *testing.T) { play(t, way{accepted: true}) }

// TestConnected is of connections that the program made.
func TestConnected(t *testing.T) { play(t, way{}) }

// TestAcceptedOfOurs and TestConnectedToOurs are the same with the other end accelerated, too.
func TestAcceptedOfOurs(t *testing.T)  { play(t, way{accepted: true, both: true}) }
func TestConnectedToOurs(t *testing.T) { play(t, way{both: true}) }

// kept are the sequences of files.
func kept(t *testing.T, paths ...string) (all []sequence) {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		q, err := parse(string(text))
		require.NoError(t, err, path)
		all = append(all, q...)
	}
	return all
}

// job is a sequence to compare, and what it is called.
type job struct {
	name string
	sequence
}

// play plays the sequences that once differed, then random ones, in several lanes: most of a sequence's time is waiting for what blocks. Or it
// plays those of a file, to look at them.
func play(t *testing.T, w way) {
	program := executor(t)
	if path := os.Getenv("SLT_DIFFER_FILE"); path != "" {
		r := newRig(t, w, program)
		for _, q := range kept(t, path) {
			q.accepted = w.accepted
			t.Log(r.told(q))
		}
		return
	}
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	jobs := make(chan job)
	stop := make(chan struct{})
	began := time.Now()
	done := compare(t, w, program, jobs, stop)
	old := kept(t, files...)
	n, seed := number(t, "SLT_DIFFER", short(w)), number(t, "SLT_DIFFER_SEED", 1)
	for _, q := range old { // both ways, whichever differed
		q.accepted = w.accepted
		jobs <- job{"a kept one", q}
	}
	ran := uint64(0)
feeding:
	for ; ran < n; ran++ {
		select {
		case jobs <- job{fmt.Sprintf("seed %d", seed+ran), plan(seed+ran, w.accepted)}:
		case <-stop:
			break feeding
		}
	}
	close(jobs)
	done.Wait()
	t.Logf("%d kept and %d of %d random sequences from seed %d on, %.0f a minute", len(old), ran, n, seed, float64(len(old)+int(ran))/time.Since(began).Minutes())
}

// short is how many sequences `make test` runs.
func short(w way) uint64 {
	if w.both {
		return 40
	}
	return 60
}

// compare takes jobs in lanes that have namespaces, brokers and processes of their own. stop is closed when there are enough differences.
func compare(t *testing.T, w way, program string, jobs <-chan job, stop chan<- struct{}) *sync.WaitGroup {
	var done sync.WaitGroup
	var found atomic.Int32
	for range number(t, "SLT_DIFFER_LANES", 4) {
		r := newRig(t, w, program)
		done.Go(func() {
			for j := range jobs {
				if found.Load() >= enough {
					continue
				}
				if !r.check(j.name, j.sequence) && found.Add(1) == enough {
					close(stop)
				}
			}
		})
	}
	return &done
}

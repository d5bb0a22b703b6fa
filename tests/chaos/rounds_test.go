package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The programs, by which the faults that all of them share are dealt in the short form: each fault happens to one of them.
const (
	web = iota
	redis
	proxy
	pair
	programs
)

// wanted is how many faults a run has, 0 for the short form, and the seed of its choices.
func wanted(t *testing.T) (faults int, seed uint64) {
	seed = 1
	var err error
	if s := os.Getenv("SLT_CHAOS"); s != "" {
		faults, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	if s := os.Getenv("SLT_CHAOS_SEED"); s != "" {
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	return faults, seed
}

// sideBySide lets a test of the long form run beside the other programs': most of what a fault takes is waiting.
func sideBySide(t *testing.T) {
	if n, _ := wanted(t); n > 0 {
		t.Parallel()
	}
}

// victim is a program under load.
type victim interface {
	explain(h harm)       // errors of its clients have an explanation from now on, or none
	whole()               // waits until it is accelerated and serves
	tour()                // waits until its clients have noticed whatever there is to notice
	unexplained() []error // of the clients, so far
}

// rounds lets things go wrong: in the short form each of a program's own faults and its part of the shared ones, once; else n of all of them, each once
// and then by chance. Order, victims and pauses follow from the seed.
func rounds(t *testing.T, program int, s *stand, v victim, own []wound) {
	n, seed := wanted(t)
	rnd := rand.New(rand.NewPCG(seed, uint64(program)))
	all := own
	for i, w := range wounds {
		if n > 0 || i%programs == program {
			all = append(all[:len(all):len(all)], w)
		}
	}
	if n == 0 {
		n = len(all)
	}
	order := rnd.Perm(len(all))
	for i := range n {
		w := all[order[i%len(order)]]
		if i >= len(order) {
			w = all[rnd.IntN(len(all))]
		}
		where, began := fmt.Sprintf("seed %d, fault %d, %s", seed, i, w.name), time.Now()
		time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
		v.explain(w.breaks)
		w.do(s, rnd)
		v.whole()
		v.tour()
		v.explain(harmless)
		require.Empty(t, v.unexplained(), where)
		t.Logf("%s (%v)", where, time.Since(began).Round(time.Millisecond))
	}
	t.Logf("%d faults of %d kinds", n, len(all))
}

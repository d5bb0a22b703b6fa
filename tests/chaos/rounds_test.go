package chaos

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
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

// form is how much is to happen. A run is told again by the same words (`make chaos N=75 SEED=3`); a part of it by ONLY and FROM.
type form struct {
	faults int           // of each program; 0: each fault happens to one program
	lasts  time.Duration // or as many as happen in that time
	seed   uint64        // of order, victims and pauses
	only   *regexp.Regexp
	from   int // the fault to begin with
}

// wanted is the form that the environment asks for, else each fault once.
func wanted(t *testing.T) form {
	f := form{faults: number(t, "SLT_CHAOS", 0), seed: uint64(number(t, "SLT_CHAOS_SEED", 1)), from: number(t, "SLT_CHAOS_FROM", 0)}
	if minutes := number(t, "SLT_CHAOS_MINUTES", 0); minutes > 0 {
		f.faults, f.lasts = math.MaxInt, time.Duration(minutes)*time.Minute
	}
	var err error
	f.only, err = regexp.Compile(os.Getenv("SLT_CHAOS_ONLY"))
	require.NoError(t, err)
	return f
}

// sideBySide lets a test of a long form run beside the other programs': most of what a fault takes is waiting.
func sideBySide(t *testing.T) {
	if wanted(t).faults > 0 {
		t.Parallel()
	}
}

func number(t *testing.T, name string, otherwise int) int {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err, name)
	return n
}

// TestMain lets all programs of the long form run side by side, however few processors there are.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(programs)); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// victim is a program under load.
type victim interface {
	explain(h harm)       // errors of its clients have an explanation from now on, or none
	whole()               // waits until it is accelerated and serves
	tour()                // waits until its clients have noticed whatever there is to notice
	unexplained() []error // of the clients, so far
}

// rounds lets things go wrong, one after the other: each fault that can happen to the program once, and then others by chance.
func rounds(t *testing.T, program int, s *stand, v victim, own []wound) {
	f := wanted(t)
	all := f.choose(program, own)
	n := f.faults
	if n == 0 {
		n = len(all)
	}
	now, played := "", f.from-1
	defer func() { // before anything is ended
		if t.Failed() {
			s.look()
		}
	}()
	t.Cleanup(func() {
		if t.Failed() {
			s.look()
			t.Logf("%s; again: make chaos N=%d SEED=%d RUN=%s\n%s", now, played+1, f.seed, t.Name(), s.scene)
			said := s.said()
			t.Log("the program said:", said[max(0, len(said)-8000):])
			t.Log("nothing explained:", v.unexplained())
		}
	})
	began := time.Now()
	for i := f.from; i < n && (f.lasts == 0 || time.Since(began) < f.lasts); i++ {
		w, rnd := f.pick(program, i, all)
		played = i
		now = fmt.Sprintf("seed %d, fault %d, %s", f.seed, i, w.name)
		took := s.suffer(v, w, rnd, now)
		t.Logf("%s %s (%v)", time.Now().Format("15:04:05.000"), now, took.Round(time.Millisecond))
		if f.faults > 0 { // the short form has too few for a trend
			s.note()
		}
	}
	now = "at the end"
	s.mustNotGrow()
	t.Logf("%d faults of %d kinds in %v; the least of the packets' memory that was free: %.0f %%", played+1-f.from, len(all), time.Since(began).Round(time.Second), 100*s.least)
}

// choose is which faults can happen to a program.
func (f *form) choose(program int, own []wound) (all []wound) {
	for i, w := range slices.Concat(own, wounds) {
		shared := i - len(own)
		if (f.faults > 0 || shared < 0 || shared%programs == program) && f.only.MatchString(w.name) {
			all = append(all, w)
		}
	}
	return all
}

// pick is the i-th fault, and what chooses its victims and pauses: they follow from the seed alone, not from what happened before.
func (f *form) pick(program, i int, all []wound) (wound, *rand.Rand) {
	order := rand.New(rand.NewPCG(f.seed, uint64(program))).Perm(len(all))
	rnd := rand.New(rand.NewPCG(f.seed, uint64(program)<<32|uint64(i+1)))
	if i < len(order) {
		return all[order[i]], rnd
	}
	return all[rnd.IntN(len(all))], rnd
}

// suffer lets one thing go wrong, and waits until all is well again.
func (s *stand) suffer(v victim, w wound, rnd *rand.Rand, where string) time.Duration {
	began := time.Now()
	time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
	v.explain(w.breaks)
	w.do(s, rnd)
	v.whole()
	v.tour()
	v.explain(harmless)
	require.Empty(s.t, v.unexplained(), where)
	return time.Since(began)
}

// TestTheSeedSaysAll: the same seed is the same faults with the same choices, from the first or from a later one on; another seed is others.
func TestTheSeedSaysAll(t *testing.T) {
	play := func(f form) (told []string) {
		for program := range programs {
			all := f.choose(program, nil)
			for i := f.from; i < 100; i++ {
				w, rnd := f.pick(program, i, all)
				told = append(told, fmt.Sprint(program, i, w.name, rnd.Uint64()))
			}
		}
		return told
	}
	f := form{faults: 100, seed: 7, only: regexp.MustCompile("")}
	first := play(f)
	require.Equal(t, first, play(f))
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(first))), programs*100)
	f.from = 40
	require.Subset(t, first, play(f))
	f.from, f.seed = 0, 8
	require.NotSubset(t, first, play(f)[:5])
	f.only = regexp.MustCompile("^loss$")
	require.Len(t, f.choose(web, nil), 1)

	dealt := map[string]int{}
	f = form{seed: 1, only: regexp.MustCompile("")}
	for program := range programs {
		for _, w := range f.choose(program, nil) {
			dealt[w.name]++
		}
	}
	require.Len(t, dealt, len(wounds), "in the short form each fault happens")
	for name, n := range dealt {
		require.Equal(t, 1, n, "%s: to one program", name)
	}
}

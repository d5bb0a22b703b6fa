// Command mutants plants mistakes in the stack, one at a time, and says which test notices each (make mutants).
//
// The mistakes are in mutants.txt. They are built with go's -overlay, so that the tree stays as it is, and for each the
// tests of the stack run until the first that fails; those of the simulation with -short. A mistake that no test notices
// needs a test, or a proof that there is none, kept beside it.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	only     = flag.String("only", "", "regular expression of the mutants to run, all if empty")
	slice    = flag.String("slice", "1/1", "which part of the list to run: 2/5 is the second of five, each with mutants from all over the list")
	by       = flag.String("by", "ustack/tcp,ustack,ustack/usock,tests/sim", "packages whose tests run, in that order")
	jobs     = flag.Int("j", 2, "mutants at a time")
	patience = flag.Duration("timeout", 2*time.Minute, "of one package's tests, or ten times what they take without a mistake; one that makes them hang is noticed, too")
	keep     = flag.String("keep", "", "only build, into this directory, and list the numbers that MUTANT switches on")
	budget   = flag.Duration("for", 24*time.Hour, "begin no mutant after that long")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	list, err := parse(text)
	if err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(m *mutant) bool { return !match.MatchString(m.name) })
	if list, err = part(list, *slice); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := runner{root: ".", dir: dir, list: list, packages: strings.Split(*by, ","), caught: map[string]int{}, takes: map[string]time.Duration{}, end: time.Now().Add(*budget)}
	if *keep != "" {
		r.dir = *keep
	}
	if err := r.build(); err != nil {
		return err
	}
	if *keep != "" {
		for _, m := range list {
			fmt.Println(r.ids[m], m.name)
		}
		return nil
	}
	r.all()
	return r.summary()
}

// part is every n-th of the list from the i-th on, for "i/n".
func part(list []*mutant, slice string) (some []*mutant, err error) {
	var i, n int
	if got, err := fmt.Sscanf(slice, "%d/%d", &i, &n); got != 2 || err != nil || i < 1 || i > n {
		return nil, fmt.Errorf("slice %q: want 1/5 to 5/5", slice)
	}
	for at := i - 1; at < len(list); at += n {
		some = append(some, list[at])
	}
	return some, nil
}

// all runs the list, some at a time.
func (r *runner) all() {
	next := make(chan *mutant)
	var wg sync.WaitGroup
	for range *jobs {
		wg.Go(func() {
			for m := range next {
				r.one(m)
			}
		})
	}
	for _, m := range r.list {
		if time.Now().After(r.end) {
			r.note(m, func() {}, "not run")
			continue
		}
		next <- m
	}
	close(next)
	wg.Wait()
}

// summary is the last line, and the error if something is amiss.
func (r *runner) summary() error {
	n := 0
	for _, c := range r.caught {
		n += c
	}
	fmt.Printf("%d mutants: %d caught %v, %d equivalent, %d survived, %d broken\n", len(r.list), n, r.caught, r.equivalent, len(r.survived), len(r.broken))
	for _, e := range r.broken {
		fmt.Println("broken:", e)
	}
	if len(r.broken)+len(r.survived) > 0 {
		return fmt.Errorf("survived: %v", r.survived)
	}
	return nil
}

// Command mutants plants mistakes in the stack, one at a time, and says which test notices each (make mutants).
//
// The mistakes are in mutants.txt. Each is built with go's -overlay, so that the tree stays as it is, and the tests of the
// stack run until the first that fails; those of the simulation with -short. A mistake that no test notices needs a test,
// or a proof that there is none, kept beside it.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"
)

var (
	only     = flag.String("only", "", "regular expression of the mutants to run, all if empty")
	by       = flag.String("by", "ustack/tcp,ustack,ustack/usock,tests/sim", "packages whose tests run, in that order")
	jobs     = flag.Int("j", 2, "mutants at a time")
	patience = flag.Duration("timeout", 2*time.Minute, "of one package's tests; a mistake that makes them hang is noticed, too")
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
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := runner{root: ".", dir: dir, end: time.Now().Add(*budget)}
	r.all(list)
	return r.summary(len(list))
}

// all runs the list, some at a time.
func (r *runner) all(list []*mutant) {
	next := make(chan *mutant)
	var wg sync.WaitGroup
	for range *jobs {
		wg.Go(func() {
			for m := range next {
				r.one(m)
			}
		})
	}
	for _, m := range list {
		if time.Now().After(r.end) {
			fmt.Printf("%-34s not run\n", m.name)
			continue
		}
		next <- m
	}
	close(next)
	wg.Wait()
}

// summary is the last line, and the error if something is amiss.
func (r *runner) summary(n int) error {
	fmt.Printf("%d mutants: %d caught %v, %d known to be equivalent, %d survived, %d broken\n", n, r.caught, r.by, r.equivalent, len(r.survived), len(r.broken))
	for _, e := range r.broken {
		fmt.Println("broken:", e)
	}
	if len(r.broken)+len(r.survived) > 0 {
		return fmt.Errorf("survived: %v", r.survived)
	}
	return nil
}

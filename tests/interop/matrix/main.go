// Matrix runs our stack against the kernel's over impaired paths, and the kernel against itself over the same, in turn:
// what came is compared by SHA-256, and the goodputs by the median of the pairs' ratios. It needs root. "make interop"
// runs it.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sluice-net/sluice/tests/interop/lab"
)

type options struct {
	bin, report string
	size        int
	seconds     float64
	rounds      int
	seed        uint64
	resume      bool
	list        bool
	verbose     bool
}

// outcome is a line of the report.
type outcome struct {
	Cell   string
	Bytes  int       // each way of measuring, each round
	Kernel []float64 // Mbit/s of payload
	Sluice []float64
	Ratio  float64 // median of Sluice/Kernel, pair by pair
	Failed string  `json:",omitempty"`
	At     string
}

func main() {
	var o options
	var patterns string
	flag.StringVar(&o.bin, "bin", "build", "directory with sluice and transfer")
	flag.StringVar(&o.report, "report", "build/interop.json", "file for the results; cells that are in it and not run again stay")
	flag.StringVar(&patterns, "cells", "*", "cells to run: patterns, comma-separated, as cubic/loss*/1500/v4/server/sends")
	flag.IntVar(&o.size, "size", 100_000_000, "bytes to transfer at most")
	flag.Float64Var(&o.seconds, "seconds", 4, "seconds that a transfer by the kernel may take: slow cells move less")
	flag.IntVar(&o.rounds, "rounds", 3, "pairs of transfers for a cell")
	flag.Uint64Var(&o.seed, "seed", 2, "of the random losses of the first pair; the next pair has the next")
	flag.BoolVar(&o.resume, "resume", false, "leave out cells that the report has")
	flag.BoolVar(&o.list, "list", false, "only list the cells")
	flag.BoolVar(&o.verbose, "v", false, "print what the path and both ends counted in each transfer")
	flag.Parse()
	if err := run(o, patterns); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(o options, patterns string) error {
	list, err := chosen(patterns)
	if err != nil {
		return err
	}
	if o.list {
		for _, c := range list {
			fmt.Println(c)
		}
		return nil
	}
	rep := load(o.report)
	slices.SortStableFunc(list, func(a, b cell) int { return a.mtu - b.mtu })
	fmt.Printf("%-44s %9s %9s %9s %6s\n", "cell", "bytes", "kernel", "sluice", "ratio")
	var bench *lab.Lab
	mtu, failed := 0, 0
	defer func() { closeLab(bench) }()
	for _, c := range list {
		if _, ok := rep[c.String()]; ok && o.resume {
			continue
		}
		if bench == nil || mtu != c.mtu {
			closeLab(bench)
			if bench, err = lab.New(lab.Config{Bin: o.bin, MTU: c.mtu}); err != nil {
				bench = nil
				return err
			}
			mtu = c.mtu
		}
		r := measure(o, bench, c)
		r.print()
		if r.Failed != "" {
			failed++
		}
		rep[r.Cell] = r
		if err := save(o.report, rep); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d cells failed", failed)
	}
	return nil
}

func closeLab(l *lab.Lab) {
	if l == nil {
		return
	}
	if err := l.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
	}
}

// measure runs one cell.
func measure(o options, l *lab.Lab, c cell) (r outcome) {
	r = outcome{Cell: c.String(), At: time.Now().UTC().Format(time.DateTime)}
	link := impairments[c.impairment]
	one := func(fast bool, size int, seed uint64) (lab.Result, error) {
		l.Path.Set(link, link, seed)
		res, err := l.Transfer(lab.Transfer{Fast: fast, Call: c.call, Send: c.send, V6: c.v6, Congestion: c.congestion,
			Size: size, Limit: 60 * time.Second})
		if o.verbose {
			fmt.Printf("  fast=%v %d bytes %.0f Mbit/s %+v\n    peer: %s\n    own: %s\n", fast, size, res.Mbit, l.Path.Counters(), res.Peer, res.Own)
		}
		return res, err
	}
	for r.Bytes = min(500_000, o.size); r.Bytes < o.size; { // how much takes the kernel so long?
		res, err := one(false, r.Bytes, 1)
		if err != nil {
			r.Failed = "kernel: " + err.Error()
			return r
		}
		left := o.seconds / res.Seconds
		r.Bytes = min(int(float64(r.Bytes)*min(left, 8)), o.size)
		if left < 8 {
			break
		}
	}
	var ratios []float64
	for round := range o.rounds {
		var mbit [2]float64
		for turn := range 2 {
			fast := (round+turn)%2 == 1
			got, err := one(fast, r.Bytes, o.seed+uint64(round))
			if err != nil {
				r.Failed = err.Error()
				return r
			}
			mbit[b2i(fast)] = got.Mbit
		}
		r.Kernel, r.Sluice = append(r.Kernel, mbit[0]), append(r.Sluice, mbit[1])
		ratios = append(ratios, mbit[1]/mbit[0])
	}
	r.Ratio = median(ratios)
	return r
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func (r *outcome) print() {
	if r.Failed != "" {
		fmt.Printf("%-44s FAILED: %s\n", r.Cell, r.Failed)
		return
	}
	fmt.Printf("%-44s %9d %9.0f %9.0f %6.2f\n", r.Cell, r.Bytes, median(r.Kernel), median(r.Sluice), r.Ratio)
}

func load(name string) map[string]outcome {
	rep := map[string]outcome{}
	if data, err := os.ReadFile(name); err == nil {
		_ = json.Unmarshal(data, &rep)
	}
	return rep
}

func save(name string, rep map[string]outcome) error {
	data, err := json.MarshalIndent(rep, "", "  ")
	if err == nil {
		err = os.WriteFile(name+".new", append(data, '\n'), 0o644)
	}
	return errors.Join(err, os.Rename(name+".new", name))
}

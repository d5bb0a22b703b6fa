// Fairness lets two flows share a bottleneck: ours beside the kernel's, ours beside ours, and for comparison the kernel's
// beside the kernel's. It needs root. "make fairness" runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/testbed/path"
	"github.com/sluice-net/sluice/tests/interop/lab"
)

// bottleneck is a link of 100 Mbit/s, 20 ms there and back, with a queue of one and a fifth of what that holds.
var (
	bottleneck = path.Link{Delay: 10 * time.Millisecond, Rate: 100_000_000, Queue: 200}
	back       = path.Link{Delay: 10 * time.Millisecond}
)

// outcome is a line of the report: the first flow's part of what both got.
type outcome struct {
	Flows  string
	Shares []float64
	Median float64
	Mbit   float64 // of both, median
}

func main() {
	bin := flag.String("bin", "build", "directory with sluice and transfer")
	report := flag.String("report", "build/fairness.json", "file for the results")
	runs := flag.Int("runs", 5, "runs of each pair")
	skip := flag.Duration("skip", 5*time.Second, "not counted, while the flows begin")
	length := flag.Duration("for", 15*time.Second, "how long to count")
	names := flag.String("pairs", "", "run only pairs whose name contains this")
	flag.Parse()
	if err := run(*bin, *report, *names, *runs, *skip, *length); err != nil {
		fmt.Fprintln(os.Stderr, "fairness:", err)
		os.Exit(1)
	}
}

func run(bin, report, names string, runs int, skip, length time.Duration) (err error) {
	l, err := lab.New(lab.Config{Bin: bin, MTU: 1500})
	if err != nil {
		return err
	}
	defer func() {
		if e := l.Close(); err == nil {
			err = e
		}
	}()
	var all []outcome
	fmt.Printf("%-34s %7s %6s  %s\n", "flows", "Mbit/s", "share", "of the first, by run")
	for _, name := range []string{"cubic", "reno", "bbr"} {
		ours, kernels := lab.Flow{Fast: true, Congestion: name}, lab.Flow{Congestion: name}
		for _, pair := range []struct {
			what  string
			flows [2]lab.Flow
		}{
			{"ours beside the kernel's", [2]lab.Flow{ours, kernels}},
			{"ours beside ours", [2]lab.Flow{ours, ours}},
			{"the kernel's beside itself", [2]lab.Flow{kernels, kernels}},
		} {
			o := outcome{Flows: name + ", " + pair.what}
			if !strings.Contains(o.Flows, names) {
				continue
			}
			if err := o.measure(l, pair.flows, runs, skip, length); err != nil {
				return fmt.Errorf("%s: %w", o.Flows, err)
			}
			all = append(all, o)
		}
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(report, append(data, '\n'), 0o644)
}

func (o *outcome) measure(l *lab.Lab, flows [2]lab.Flow, runs int, skip, length time.Duration) error {
	var sums []float64
	for i := range runs {
		l.Path.Set(bottleneck, back, uint64(i))
		got, err := l.Share(flows, skip, length)
		if err != nil {
			return err
		}
		o.Shares = append(o.Shares, got[0]/(got[0]+got[1]))
		sums = append(sums, got[0]+got[1])
	}
	o.Median, o.Mbit = median(o.Shares), median(sums)
	fmt.Printf("%-34s %7.0f %6.2f  %.2f\n", o.Flows, o.Mbit, o.Median, o.Shares)
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

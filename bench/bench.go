// Package bench measures the kernel path and the accelerated one side by side: the same unmodified programs, in turn (A B A
// B …), in one run on one machine, so that what disturbs the machine meets both.
//
//	list.go      the works: what is measured, and which ratio of the table it answers
//	session.go   testbed, broker, programs    host.go, peer.go   the two ends, here or on another machine
//	sample.go    one run of one variant       compare.go         ratios over the rounds
//	table.go, report.go, html.go              what comes out
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sluice-net/sluice/bench/procfs"
)

// Config says what to measure. Every zero means the default.
type Config struct {
	Rounds   int      // of every variant, in turn; default 5
	Seconds  float64  // that a load lasts in a round; default 1
	Only     []string // names of works, or beginnings of them; default: all
	Quick    bool     // leave out the works marked as long
	Realtime bool     // programs and broker at a real-time priority, for a machine that has other things to do
	Resume   bool     // keep what the report already has of the same settings
	Bin      string   // directory with sluice and the C programs
	Out      string   // directory for bench.json and bench.html; empty: none

	Device string // measure on this device, not on a testbed
	Peer   string // then: address of `sluice bench peer` on the other side
	Token  string // and what it asks for
}

func (c *Config) defaults() {
	if c.Rounds == 0 {
		c.Rounds = 5
	}
	if c.Seconds == 0 {
		c.Seconds = 1
	}
}

// Run measures, prints tables to out and progress to progress. It needs root and the Debian packages that the works run,
// and leaves nothing behind but the report.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	cfg.defaults()
	works, err := choose(cfg)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("the benchmark makes network namespaces and needs root")
	}
	if cfg.Out != "" { // now, and not when there are results to lose
		if err := os.MkdirAll(cfg.Out, 0o755); err != nil {
			return err
		}
	}
	rep := newReport(cfg)
	if cfg.Resume {
		if err := rep.recall(cfg.Out); err != nil {
			return err
		}
	}
	rep.describe(out)
	s, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	err = rep.runAll(s, works, out, progress)
	return errors.Join(err, s.Close())
}

// runAll measures one work after the other and saves after each, so that a run that is cut short keeps what it has.
func (rep *Report) runAll(s *Session, works []Work, out, progress io.Writer) error {
	began := time.Now()
	for i, w := range works {
		if rep.has(w.Name) {
			fmt.Fprintf(progress, "%s: kept from the report\n", w.Name)
		} else {
			fmt.Fprintf(progress, "%s (%d of %d, %s so far)\n", w.Name, i+1, len(works), time.Since(began).Round(time.Second))
			r, err := s.Measure(w, progress)
			if err != nil {
				return fmt.Errorf("%s: %w", w.Name, err)
			}
			rep.add(r)
			if err := rep.save(s.cfg.Out); err != nil {
				return err
			}
		}
		rep.work(w.Name).print(out)
	}
	rep.verdict(out)
	return nil
}

// Measure runs every variant of a work in turn, round by round.
func (s *Session) Measure(w Work, progress io.Writer) (*Result, error) {
	if why := s.missing(w); why != "" {
		return &Result{Name: w.Name, Title: w.Title, LeftOut: why}, nil
	}
	if err := s.use(w.Bed); err != nil {
		return nil, err
	}
	r := newResult(w)
	if s.seconds = w.Seconds; s.seconds == 0 {
		s.seconds = s.cfg.Seconds
	}
	rounds := s.cfg.Rounds
	if w.MaxRounds > 0 {
		rounds = min(rounds, w.MaxRounds)
	}
	for round := 1; round <= rounds; round++ {
		for i, v := range w.Variants {
			fmt.Fprintf(progress, "  round %d of %d: %s", round, rounds, v.Name)
			sample, err := s.sample(v)
			if err != nil {
				fmt.Fprintln(progress)
				return nil, fmt.Errorf("%s: %w", v.Name, err)
			}
			fmt.Fprintf(progress, ": %s\n", sample.short())
			r.Variants[i].add(sample)
		}
	}
	r.compare(w)
	return r, nil
}

// sample runs one variant once.
func (s *Session) sample(v Variant) (*Sample, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	sample, err := v.run(s)
	if err != nil {
		return nil, err
	}
	sample.judge(v, procfs.Look().Cores)
	return sample, nil
}

// Package demo shows the main job: stock nginx and a ping-pong server, by the
// kernel and accelerated in turn, on two namespaces of this machine.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluice-net/sluice/testbed"
)

// Config says how much to measure. Every zero means the default.
type Config struct {
	Rounds  int    // of each path, in turn; default 3
	Seconds int    // of wrk in a round; default 4
	Pings   int    // of ping-pong in a round; default 20000
	Bin     string // directory with sluice and pingpong
	Report  string // file for the results as JSON; empty: none
}

func (c *Config) defaults() {
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.Rounds, 3}, {&c.Seconds, 4}, {&c.Pings, 20000}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
}

// Ports that the demo's servers listen on, in a namespace of their own.
const (
	webPort  = 80
	pingPort = 7
)

// run is the demo under way.
type run struct {
	cfg    Config
	ctx    context.Context
	out    io.Writer // progress
	bed    *testbed.Bed
	dir    string
	socket string
}

// Run measures and prints the table to out, progress to progress. It needs
// root, nginx and wrk; it leaves nothing behind.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) (err error) {
	cfg.defaults()
	if os.Geteuid() != 0 {
		return errors.New("the demo makes network namespaces and needs root")
	}
	r := &run{cfg: cfg, ctx: ctx, out: progress}
	if r.dir, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	if err := os.Chmod(r.dir, 0o755); err != nil {
		return err
	}
	if r.bed, err = testbed.New(testbed.Config{Queues: 2}); err != nil {
		return fmt.Errorf("make the testbed: %w", err)
	}
	defer func() { err = errors.Join(err, r.bed.Close()) }()
	stop, err := r.startBroker()
	if err != nil {
		return err
	}
	defer stop()
	rep, err := r.measure()
	if err != nil {
		return err
	}
	rep.print(out)
	return rep.save(cfg.Report)
}

// measure alternates the two paths, so that a change of the machine's mood
// meets both.
func (r *run) measure() (*Report, error) {
	rep := &Report{}
	for round := 1; round <= r.cfg.Rounds; round++ {
		for _, fast := range []bool{false, true} {
			path := &rep.Kernel
			if fast {
				path = &rep.Sluice
			}
			fmt.Fprintf(r.out, "round %d of %d, %s: nginx", round, r.cfg.Rounds, name(fast))
			if err := r.web(fast, path); err != nil {
				return nil, fmt.Errorf("nginx, %s: %w", name(fast), err)
			}
			fmt.Fprint(r.out, ", ping-pong")
			if err := r.pings(fast, path); err != nil {
				return nil, fmt.Errorf("ping-pong, %s: %w", name(fast), err)
			}
			fmt.Fprintln(r.out)
			if r.ctx.Err() != nil {
				return nil, r.ctx.Err()
			}
		}
	}
	return rep, nil
}

func name(fast bool) string {
	if fast {
		return "sluice"
	}
	return "kernel"
}

func (r *run) startBroker() (stop func(), err error) {
	r.socket = filepath.Join(r.dir, "broker.sock")
	p, err := r.start(nil, nil, 0, filepath.Join(r.cfg.Bin, "sluice"), "broker",
		"--socket", r.socket, "--pins", filepath.Join(r.dir, "bpf", "sluice"))
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	if err := p.until(func() bool { _, err := os.Stat(r.socket); return err == nil }); err != nil {
		p.stop(syscall.SIGTERM)
		return nil, fmt.Errorf("broker: %w\n%s", err, p.output())
	}
	return func() { p.stop(syscall.SIGTERM) }, nil
}

// save writes the report as JSON.
func (rep *Report) save(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

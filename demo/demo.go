// Package demo shows the main job: stock nginx and a ping-pong server, by the kernel and accelerated in turn, on two
// namespaces of this machine. It is the benchmark's machinery with a short programme.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sluice-net/sluice/bench"
)

// Config says how much to measure. Every zero means the default.
type Config struct {
	Rounds  int    // of each path, in turn; default 3
	Seconds int    // of wrk in a round; default 3
	Bin     string // directory with sluice and pingpong
	Report  string // file for the results as JSON; empty: none
}

func (c *Config) defaults() {
	if c.Rounds == 0 {
		c.Rounds = 3
	}
	if c.Seconds == 0 {
		c.Seconds = 3
	}
}

// Run measures and prints the table to out, progress to progress. It needs root, nginx and wrk; it leaves nothing behind.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	cfg.defaults()
	if os.Geteuid() != 0 {
		return errors.New("the demo makes network namespaces and needs root")
	}
	web, ping, err := bench.Demo(ctx, bench.Config{Rounds: cfg.Rounds, Seconds: float64(cfg.Seconds), Bin: cfg.Bin}, progress)
	if err != nil {
		return err
	}
	if web.LeftOut != "" {
		return errors.New(web.LeftOut)
	}
	rep := &Report{}
	for i, p := range []*Path{&rep.Kernel, &rep.Sluice} {
		for _, s := range append(web.Variants[i].Samples, ping.Variants[i].Samples...) {
			if s.Wrong != "" {
				return fmt.Errorf("%s: %s", web.Variants[i].Name, s.Wrong)
			}
		}
		p.take(web.Variants[i].Samples, ping.Variants[i].Samples)
	}
	rep.print(out)
	return rep.save(cfg.Report)
}

// take turns the benchmark's samples into a path's rounds.
func (p *Path) take(web, ping []*bench.Sample) {
	for _, s := range web {
		p.Web = append(p.Web, WebRound{s.Rate, s.Latency.P50, s.Latency.P99})
		p.Packets += s.Packets
		p.Connections += s.Opens.ServerKernel
	}
	for _, s := range ping {
		p.Ping = append(p.Ping, PingRound{s.Latency.P50, s.Latency.P99})
	}
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

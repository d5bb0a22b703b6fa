package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/bench"
)

func benchCommand() *cobra.Command {
	var cfg bench.Config
	var list bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the kernel path and the accelerated one in turn, print tables, write bench.json and bench.html (root)",
		Args:  cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Rounds, "rounds", 5, "rounds of each variant, in turn")
	f.Float64Var(&cfg.Seconds, "seconds", 1, "seconds of load in a round")
	f.StringSliceVar(&cfg.Only, "only", nil, "works to do, by the beginnings of their names")
	f.BoolVar(&cfg.Quick, "quick", false, "2 rounds of 0.4 s, without the long works")
	f.BoolVar(&list, "list", false, "list the works, measure nothing")
	f.BoolVar(&cfg.Realtime, "realtime", false, "programs and broker at a real-time priority: for a machine that is not quiet")
	f.BoolVar(&cfg.Resume, "resume", false, "keep the works that bench.json has already, of the same settings, source and machine")
	f.StringVar(&cfg.Out, "out", "", "directory for bench.json and bench.html (default: that of this program)")
	f.StringVar(&cfg.Device, "device", "", "measure on this device instead of a testbed")
	f.StringVar(&cfg.Peer, "peer", "", "with --device: ADDRESS[:PORT] of `sluice bench peer` on the other side")
	f.StringVar(&cfg.Token, "token", "", "what the peer printed when it started")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if list {
			bench.List(os.Stdout)
			return nil
		}
		if cfg.Quick {
			quicken(cmd, &cfg)
		}
		return measure(cmd.Context(), cfg)
	}
	cmd.AddCommand(benchPeerCommand(), benchRawCommand())
	return cmd
}

// quicken sets what was not asked for.
func quicken(cmd *cobra.Command, cfg *bench.Config) {
	if !cmd.Flags().Changed("rounds") {
		cfg.Rounds = 2
	}
	if !cmd.Flags().Changed("seconds") {
		cfg.Seconds = 0.4
	}
}

func measure(ctx context.Context, cfg bench.Config) error {
	if (cfg.Device == "") != (cfg.Peer == "") {
		return fmt.Errorf("--device and --peer belong together")
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	bin, err := ownDir()
	if err != nil {
		return err
	}
	cfg.Bin = bin
	if cfg.Out == "" {
		cfg.Out = bin
	}
	return bench.Run(ctx, cfg, os.Stdout, os.Stderr)
}

// ownDir is where this program lies, and the benchmark's programs beside it.
func ownDir() (string, error) {
	self, err := os.Executable()
	return filepath.Dir(self), err
}

func benchPeerCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "peer",
		Short: "Run the benchmark's clients for `sluice bench --device` on another machine (root)",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&listen, "listen", "", "ADDRESS[:PORT] of this machine on the link that is measured")
	_ = cmd.MarkFlagRequired("listen")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
		defer stop()
		bin, err := ownDir()
		if err != nil {
			return err
		}
		return bench.Peer(ctx, bin, listen, os.Stdout)
	}
	return cmd
}

// benchRawCommand is one end of the ping-pong of frames, or who makes a flood; the benchmark starts it.
func benchRawCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "raw", Short: "One end of a ping-pong of frames over AF_XDP", Hidden: true}
	cmd.AddCommand(&cobra.Command{
		Use:  "serve ADDRESS",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return bench.RawServe(args[0], os.Stdout) },
	}, &cobra.Command{
		Use:  "call ADDRESS MAC SECONDS",
		Args: cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := time.ParseDuration(args[2] + "s")
			if err != nil {
				return err
			}
			return bench.RawCall(args[0], args[1], d, os.Stdout, os.Stderr)
		},
	}, &cobra.Command{
		Use:  "flood ADDRESS TO MAC SECONDS",
		Args: cobra.ExactArgs(4),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := time.ParseDuration(args[3] + "s")
			if err != nil {
				return err
			}
			return bench.RawFlood(args[0], args[1], args[2], d)
		},
	})
	return cmd
}

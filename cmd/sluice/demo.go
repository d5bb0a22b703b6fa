package main

import (
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/demo"
)

func demoCommand() *cobra.Command {
	var cfg demo.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run nginx and a ping-pong server by the kernel and by sluice in turn, print one table (root)",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().IntVar(&cfg.Rounds, "rounds", 3, "rounds of each path")
	cmd.Flags().IntVar(&cfg.Seconds, "seconds", 3, "seconds of wrk in a round")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
		defer stop()
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cfg.Bin = filepath.Dir(self)
		cfg.Report = filepath.Join(cfg.Bin, "demo.json")
		return demo.Run(ctx, cfg, os.Stdout, os.Stderr)
	}
	return cmd
}

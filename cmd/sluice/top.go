package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/top"
)

func topCommand() *cobra.Command {
	var socket string
	var o top.Options
	var seconds float64
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Accelerated programs and connections by rate, live",
		Args:  cobra.NoArgs,
	}
	brokerFlag(cmd, &socket)
	cmd.Flags().Float64VarP(&seconds, "delay", "d", 2, "seconds between two tables")
	cmd.Flags().IntVarP(&o.Times, "iterations", "n", 0, "end after so many tables")
	cmd.Flags().BoolVarP(&o.Batch, "batch", "b", false, "tables one after the other, whole, for a file or a pipe")
	cmd.RunE = func(*cobra.Command, []string) error {
		if seconds < 0.1 || seconds > 3600 {
			return fmt.Errorf("a delay of %g s: want 0.1 to 3600", seconds)
		}
		o.Every = time.Duration(seconds * float64(time.Second))
		b, err := ask.Dial(socket, "top")
		if err != nil {
			return err
		}
		defer b.Close()
		return top.Run(os.Stdout, b, o, interrupted())
	}
	return cmd
}

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/counters"
)

func netstatCommand() *cobra.Command {
	var socket string
	var statistics, zeros, asJSON bool
	var pid int
	cmd := &cobra.Command{
		Use:   "netstat",
		Short: "Counters of accelerated programs, under the kernel's names",
		Long: "Counters of /proc/net/snmp and /proc/net/netstat for accelerated programs: those of today and (root) those that ended, summed,\n" +
			"then memory and rings of each program of today. What is zero is left out.",
		Args: cobra.NoArgs,
	}
	brokerFlag(cmd, &socket)
	cmd.Flags().BoolVarP(&statistics, "statistics", "s", true, "statistics (there is nothing else here)")
	cmd.Flags().BoolVarP(&zeros, "zeros", "z", false, "zeros too")
	cmd.Flags().IntVarP(&pid, "pid", "p", 0, "this process only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, each process by itself")
	cmd.RunE = func(*cobra.Command, []string) error {
		b, err := ask.Dial(socket, "netstat")
		if err != nil {
			return err
		}
		defer b.Close()
		r, err := counters.Gather(b, pid)
		if err != nil {
			return err
		}
		for _, n := range r.Notes {
			fmt.Fprintln(os.Stderr, "sluice:", n)
		}
		if asJSON {
			return r.JSON(os.Stdout)
		}
		r.Text(os.Stdout, zeros)
		return nil
	}
	return cmd
}

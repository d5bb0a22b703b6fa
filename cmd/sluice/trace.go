package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/history"
)

func traceCommand() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "trace LOCAL-REMOTE | PID",
		Short: "Say what happened to a connection, or to all of a program: states, timeouts, retransmissions, closed windows, hand-overs",
		Long: "Say what happened to a connection, or to all of a program: its last 14 changes of state, retransmissions, timeouts, closed windows\n" +
			"and hand-overs. One that is over is still known until its place in memory is taken.",
		Example: "  sluice trace 192.0.2.1:80-192.0.2.7:40312\n  sluice trace 4711",
		Args:    cobra.ExactArgs(1),
	}
	brokerFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		w, err := which(args[0])
		if err != nil {
			return err
		}
		b, err := ask.Dial(socket, "trace")
		if err != nil {
			return err
		}
		defer b.Close()
		all, err := history.Trace(b, history.Which{Pid: w.Pid, Local: w.Local, Remote: w.Remote})
		if err != nil {
			return err
		}
		if asJSON {
			return history.JSON(os.Stdout, all)
		}
		for i := range all {
			all[i].Text(os.Stdout)
		}
		return nil
	}
	return cmd
}

func postmortemCommand() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "postmortem [PID]",
		Short: "Say what a program left that was killed or crashed: its connections' last events, its counters",
		Long: "Say what a program left that ended with connections open, killed or crashed: the last events of each, and what it had counted.\n" +
			"Without PID it is the program that died last. The broker keeps the memory of the last 8, at most 64 MB.",
		Args: cobra.MaximumNArgs(1),
	}
	brokerFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		pid := 0
		if len(args) > 0 {
			var err error
			if pid, err = strconv.Atoi(args[0]); err != nil || pid <= 0 {
				return fmt.Errorf("%q is no process number", args[0])
			}
		}
		b, err := ask.Dial(socket, "postmortem")
		if err != nil {
			return err
		}
		defer b.Close()
		d, err := history.Postmortem(b, pid)
		if err != nil {
			return err
		}
		if asJSON {
			return history.JSON(os.Stdout, d)
		}
		d.Text(os.Stdout)
		return nil
	}
	return cmd
}

package main

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/doctor"
)

func doctorCommand() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [PID | COMMAND]",
		Short: "Say what keeps this host, or a program's sockets, from being accelerated, and what to do",
		Long: "Without an argument: the host and its devices. With a process: why each of its sockets is accelerated or not. With a\n" +
			"command that is to be run: whether its calls can be intercepted.\n\nExit status: 0: nothing is bad; 1: something is; 2: it could not be found out.",
		Example: "  sluice doctor\n  sluice doctor 4711\n  sluice doctor nginx",
		Args:    cobra.MaximumNArgs(1),
	}
	brokerFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		r, err := diagnose(socket, args)
		if err != nil {
			cmd.PrintErrln("sluice:", err)
			return exitCode(2)
		}
		if asJSON {
			err = r.JSON(os.Stdout)
		} else {
			r.Text(os.Stdout)
		}
		if err == nil && !r.Well() {
			err = exitCode(1)
		}
		return err
	}
	return cmd
}

func diagnose(socket string, args []string) (*doctor.Report, error) {
	r := &doctor.Report{}
	b, dialled := ask.Dial(socket, "doctor")
	if dialled == nil {
		defer b.Close()
	} else {
		b = nil
	}
	if len(args) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		doctor.Host(r, b, dialled, filepath.Dir(self))
		return r, nil
	}
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		doctor.Command(r, args[0])
		return r, nil
	}
	if dialled != nil {
		r.Findings = append(r.Findings, doctor.Finding{About: "broker", Verdict: doctor.Bad, What: dialled.Error(), Do: "start one as root: sluice broker"})
	}
	return r, doctor.Process(r, b, pid)
}

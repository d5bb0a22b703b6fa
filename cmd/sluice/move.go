package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/broker/proto"
)

func detachCommand() *cobra.Command {
	return moveCommand(proto.OpDetach, "Hand live connections to the kernel: all of a process, or one LOCAL-REMOTE")
}

func attachCommand() *cobra.Command {
	return moveCommand(proto.OpAttach, "Take live connections from the kernel: all of a process, or one LOCAL-REMOTE")
}

func moveCommand(op proto.Op, short string) *cobra.Command {
	socket := defaultSocket
	if s := os.Getenv(brokerKnob); s != "" {
		socket = s
	}
	cmd := &cobra.Command{
		Use:     string(op) + " PID|LOCAL-REMOTE",
		Short:   short,
		Example: fmt.Sprintf("  sluice %s 4711\n  sluice %s 192.0.2.1:80-192.0.2.7:40312", op, op),
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&socket, "socket", socket, "path of the broker's socket")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		w, err := which(args[0])
		if err != nil {
			return err
		}
		m, err := broker.Move(socket, op, w)
		if err != nil {
			return err
		}
		fmt.Printf("%d moved, %d left\n", m.Moved, m.Left)
		if m.Why != "" {
			fmt.Fprintln(os.Stderr, "sluice:", m.Why)
		}
		if m.Moved == 0 && m.Left > 0 {
			return exitCode(1)
		}
		return nil
	}
	return cmd
}

// which reads a process number or a connection.
func which(s string) (w proto.Which, err error) {
	if w.Pid, err = strconv.Atoi(s); err == nil && w.Pid > 0 {
		return w, nil
	}
	local, remote, ok := strings.Cut(s, "-")
	if ok {
		if w.Local, err = netip.ParseAddrPort(local); err == nil {
			w.Remote, err = netip.ParseAddrPort(remote)
		}
	}
	if !ok || err != nil {
		return w, fmt.Errorf("%q is neither a process nor a connection such as 192.0.2.1:80-192.0.2.7:40312", s)
	}
	w.Pid = 0
	return w, nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/capture"
)

func tcpdumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tcpdump [any arguments of tcpdump | --pcapng]",
		Short: "Run tcpdump over both directions of accelerated traffic",
		Long: "Run the real tcpdump, with its arguments, over the packets of all accelerated programs (root) or one's own, those that start meanwhile\n" +
			"too. It ends as tcpdump does, with tcpdump's exit status. The broker is the one of $SLUICE_BROKER. With --pcapng there is no tcpdump:\n" +
			"packets are written to standard output as pcapng, with the program and its process number as comments.",
		Example:            "  sluice tcpdump -nn -c 5 port 80\n  sluice tcpdump -w /tmp/x.pcap host 10.0.0.7\n  sluice tcpdump --pcapng | wireshark -k -i -",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			if len(args) == 1 && args[0] == "--pcapng" {
				b, err := dialForPackets()
				if err != nil {
					return err
				}
				defer b.Close()
				return dump(b, os.Stdout, interrupted())
			}
			return tcpdump(args)
		},
	}
}

// interrupted is closed by the first SIGINT or SIGTERM.
func interrupted() chan struct{} {
	stop, sigs := make(chan struct{}), make(chan os.Signal, 1)
	signal.Notify(sigs, unix.SIGINT, unix.SIGTERM)
	go func() {
		<-sigs
		close(stop)
		for range sigs { // tcpdump gets the terminal's too, and ends by itself
		}
	}()
	return stop
}

func dialForPackets() (*ask.Broker, error) {
	signal.Ignore(unix.SIGPIPE)
	socket := defaultSocket
	if s := os.Getenv(brokerKnob); s != "" {
		socket = s
	}
	return ask.Dial(socket, "tcpdump")
}

// dump writes packets to w until stop is closed or w is.
func dump(b *ask.Broker, w io.Writer, stop <-chan struct{}) error {
	c, err := capture.Begin(b, 0, w)
	if err != nil {
		return err
	}
	err = c.Run(stop)
	fmt.Fprintf(os.Stderr, "%d packets of accelerated programs, %d dropped by sluice because this was too slow\n", c.Packets, c.Dropped())
	return err
}

// tcpdump gives the packets to the real one.
func tcpdump(args []string) error {
	b, err := dialForPackets()
	if err != nil {
		return err
	}
	defer b.Close()
	stop := interrupted()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	t := exec.Command("tcpdump", append([]string{"-r", "-"}, args...)...)
	t.Stdin, t.Stdout, t.Stderr = r, os.Stdout, os.Stderr
	if err := t.Start(); err != nil {
		return err
	}
	r.Close()
	ended := make(chan error, 1)
	end := make(chan struct{})
	go func() {
		ended <- t.Wait()
		close(end)
	}()
	derr := dump(b, w, either(stop, end))
	w.Close()
	err = <-ended
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return exitCode(exit.ExitCode())
	case errors.As(err, &exit):
		return exitCode(128 + int(exit.Sys().(syscall.WaitStatus).Signal()))
	case err != nil:
		return err
	}
	return derr
}

// either is closed when one of the two is.
func either(a, b <-chan struct{}) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		select {
		case <-a:
		case <-b:
		}
		close(c)
	}()
	return c
}

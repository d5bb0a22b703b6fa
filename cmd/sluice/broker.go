package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/broker/policy"
)

const (
	runDir        = "/run/sluice"
	defaultSocket = runDir + "/broker.sock"
	defaultPolicy = "/etc/sluice/policy.yaml"
)

type brokerFlags struct {
	socket, pins, level string
	metrics             string
	forPID, readyFD     int
	hide                int
	policy              string
	repair              bool
	rings, busy, budget int
	huge, late          bool
}

func brokerCommand() *cobra.Command {
	var f brokerFlags
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Hold queues, XDP programs and privilege for accelerated programs (root)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.repair {
				return f.putBack(cmd)
			}
			return f.serve()
		},
	}
	cmd.Flags().StringVar(&f.socket, "socket", defaultSocket, "path of the socket to serve")
	cmd.Flags().StringVar(&f.pins, "pins", "", "directory for pinned BPF objects, a bpffs on its parent (default /sys/fs/bpf/sluice, or bpf/sluice beside the socket)")
	cmd.Flags().StringVar(&f.level, "log", "info", "off, error, info or debug, on stderr")
	cmd.Flags().IntVar(&f.hide, "hide", 0, "receive queues to hide from the kernel on devices with ntuple filters (never tried on a real card)")
	cmd.Flags().StringVar(&f.policy, "policy", "", "file that says which users may have which devices and ports (default "+defaultPolicy+" if it is there)")
	cmd.Flags().BoolVar(&f.repair, "repair", false, "put RSS tables and rules back that a broker left behind which was killed, and end")
	cmd.Flags().StringVar(&f.metrics, "metrics", "", "serve metrics for Prometheus at this address, as 127.0.0.1:9464; nobody asks who reads them")
	cmd.Flags().IntVar(&f.rings, "rings", 0, "entries of each ring of a queue, a power of two from 64 to 32768 (default 2048)")
	cmd.Flags().IntVar(&f.busy, "busy-poll", 0, "microseconds for which a program's calls may poll the device themselves (SO_BUSY_POLL, SO_PREFER_BUSY_POLL); 0: interrupts")
	cmd.Flags().IntVar(&f.budget, "busy-poll-budget", 64, "packets of one such poll")
	cmd.Flags().BoolVar(&f.huge, "huge-pages", false, "programs' packet memory in huge pages of 2 MiB, as long as vm.nr_hugepages has any; 64 MiB a program")
	cmd.Flags().BoolVar(&f.late, "bind-late", false, "give programs sockets before they are bound, as Linux before 6.4 needs it, even if nothing keeps a program from taking another queue with one")
	cmd.Flags().IntVar(&f.forPID, "for-pid", 0, "end when this process has ended and nobody is served")
	cmd.Flags().IntVar(&f.readyFD, "ready-fd", 0, "write one line there: ready, or what went wrong")
	return cmd
}

func (f brokerFlags) serve() error {
	if err := beginAnew(); err != nil {
		fmt.Fprintln(os.Stderr, "sluice: broker:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	rules, err := f.loadPolicy()
	if err != nil {
		f.report(err)
		return err
	}
	b, err := broker.Start(ctx, broker.Config{
		Manager: broker.ManagerOf(), Policy: rules, Socket: f.socket, PinDir: f.pins, Hide: f.hide, NoPins: f.forPID != 0, Rings: f.rings, Huge: f.huge, BindLate: f.late, Busy: afxdp.BusyPoll{Usec: f.busy, Budget: f.budget}, Log: newLogger(os.Stderr, f.level),
	})
	f.report(err)
	if err != nil {
		return err
	}
	defer b.Close()
	if f.metrics != "" {
		end, err := serveMetrics(b, f.metrics)
		if err != nil {
			return err
		}
		defer end()
	}
	if f.forPID == 0 {
		<-ctx.Done()
		return nil
	}
	f.waitUnused(ctx, b)
	return nil
}

// loadPolicy reads the policy, if there is one. One that can't be read is an error: without it everything would be allowed.
func (f brokerFlags) loadPolicy() (*policy.Policy, error) {
	if f.policy != "" {
		return policy.Load(f.policy)
	}
	p, err := policy.Load(defaultPolicy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return p, err
}

// putBack does what --repair says.
func (f brokerFlags) putBack(cmd *cobra.Command) error {
	done, err := broker.Repair(f.socket)
	for _, path := range done {
		fmt.Fprintln(cmd.OutOrStdout(), "repaired", path)
	}
	if err == nil && len(done) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to repair")
	}
	return err
}

// report tells the starter how it went.
func (f brokerFlags) report(err error) {
	if f.readyFD == 0 {
		return
	}
	w := os.NewFile(uintptr(f.readyFD), "ready")
	defer w.Close()
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ready")
}

// waitUnused returns when the process this broker was started for has ended
// and no program is served any more.
func (f brokerFlags) waitUnused(ctx context.Context, b *broker.Broker) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	pidfd, err := unix.PidfdOpen(f.forPID, 0)
	if err == nil {
		defer unix.Close(pidfd)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err == nil && !exited(pidfd) {
			continue
		}
		if st := b.Status(); len(st.Leases) == 0 && st.Doors == 0 {
			return
		}
	}
}

func exited(pidfd int) bool {
	p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, _ := unix.Poll(p, 0)
	return n > 0
}

package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/sockets"
)

// ssFlags are those of ss(8) that concern TCP.
type ssFlags struct {
	socket, netns               string
	all, listening, tcp         bool
	ipv4, ipv6, json, onlyAccel bool
	show                        sockets.Show
}

func ssCommand() *cobra.Command {
	f := ssFlags{}
	cmd := &cobra.Command{
		Use:   "ss [flags] [FILTER]",
		Short: "List TCP sockets as ss(8) does, accelerated ones too",
		Long: "List TCP sockets as ss(8) does: those of the kernel and those of accelerated programs, each once. Root sees all programs,\n" +
			"others their own. FILTER is ss's: [state NAME | exclude NAME]... [src, dst, sport, dport, and, or, not, parentheses].",
		Example: "  sluice ss -tanp\n  sluice ss -ti state established '( sport = :80 or dst 10.0.0.0/8 )'",
	}
	brokerFlag(cmd, &f.socket)
	fl := cmd.Flags()
	fl.BoolVarP(&f.tcp, "tcp", "t", true, "TCP (there is nothing else here)")
	fl.BoolVarP(&f.all, "all", "a", false, "listening sockets too")
	fl.BoolVarP(&f.listening, "listening", "l", false, "listening sockets only")
	fl.BoolVarP(&f.show.Numeric, "numeric", "n", false, "numbers instead of services' names")
	fl.BoolVarP(&f.show.Processes, "processes", "p", false, "processes and descriptors")
	fl.BoolVarP(&f.show.Info, "info", "i", false, "TCP_INFO")
	fl.BoolVarP(&f.show.Timers, "options", "o", false, "timers")
	fl.BoolVarP(&f.show.Memory, "memory", "m", false, "buffers")
	fl.BoolVarP(&f.show.Extended, "extended", "e", false, "user, inode, cookie, mark, cgroup")
	fl.BoolVarP(&f.show.NoHeader, "no-header", "H", false, "no header")
	fl.BoolVarP(&f.show.OneLine, "oneline", "O", false, "one line for each socket")
	fl.BoolVarP(&f.ipv4, "ipv4", "4", false, "IPv4 only")
	fl.BoolVarP(&f.ipv6, "ipv6", "6", false, "IPv6 only")
	fl.StringVarP(&f.netns, "net", "N", "", "in this network namespace (a name of ip-netns(8), or a path)")
	fl.BoolVar(&f.json, "json", false, "all that is known, as JSON")
	fl.BoolVar(&f.onlyAccel, "accelerated", false, "accelerated sockets only")
	cmd.RunE = func(_ *cobra.Command, args []string) error { return f.run(args) }
	return cmd
}

func (f *ssFlags) run(args []string) error {
	filter, err := sockets.ParseFilter(args)
	if err != nil {
		return err
	}
	if filter.States == 0 {
		switch filter.States = sockets.Connected; {
		case f.listening:
			filter.States = 1<<sockets.Listen | 1<<sockets.Closed
		case f.all:
			filter.States = sockets.All
		}
	}
	all, err := f.gather(filter.States)
	if err != nil {
		return err
	}
	shown := all[:0]
	for i := range all {
		s := &all[i]
		if filter.Match(s) && f.family(s) && (!f.onlyAccel || s.Accel != nil) {
			shown = append(shown, *s)
		}
	}
	if f.show.Processes || f.json {
		sockets.FindUsers(shown)
	}
	sort.SliceStable(shown, func(i, j int) bool { return shown[i].State == sockets.Listen && shown[j].State != sockets.Listen })
	if f.json {
		return sockets.JSON(os.Stdout, shown)
	}
	f.show.ManyStates = filter.States&(filter.States-1) != 0
	return sockets.Text(os.Stdout, shown, f.show)
}

func (f *ssFlags) family(s *sockets.Socket) bool {
	if f.ipv4 == f.ipv6 {
		return true
	}
	return f.ipv4 == (s.Family == unix.AF_INET)
}

// gather has the kernel's sockets and the engines' of the namespace. Without a broker there are only the kernel's.
func (f *ssFlags) gather(states uint32) ([]sockets.Socket, error) {
	ns, err := f.enter()
	if err != nil {
		return nil, err
	}
	kernel, err := sockets.Kernel(states)
	if err != nil {
		return nil, err
	}
	b, err := ask.Dial(f.socket, "ss")
	if err != nil {
		fmt.Fprintf(os.Stderr, "sluice: the kernel's sockets only: %v\n", err)
		return kernel, nil
	}
	defer b.Close()
	engines, notes, err := sockets.Engines(b, ns)
	for _, n := range notes {
		fmt.Fprintln(os.Stderr, "sluice:", n)
	}
	return sockets.Merge(kernel, engines), err
}

// enter goes into the namespace asked for, for good, and tells its inode.
func (f *ssFlags) enter() (uint64, error) {
	runtime.LockOSThread()
	if f.netns != "" {
		h, err := netns.GetFromName(f.netns)
		if err != nil {
			h, err = netns.GetFromPath(f.netns)
		}
		if err == nil {
			err = netns.Set(h)
		}
		if err != nil {
			return 0, fmt.Errorf("network namespace %s: %w", f.netns, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0, fmt.Errorf("this network namespace: %w", err)
	}
	return st.Ino, nil
}

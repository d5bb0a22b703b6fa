package top

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/sockets"
)

// Options of a run.
type Options struct {
	Every time.Duration
	Times int  // 0: until stopped
	Batch bool // one table after the other, with all connections, instead of a screen
}

// Run shows tables until stop is closed.
func Run(w io.Writer, b *ask.Broker, o Options, stop <-chan struct{}) error {
	old, err := take(b)
	if err != nil {
		return err
	}
	if !o.Batch {
		io.WriteString(w, "\x1b[?1049h\x1b[?25l") // the other screen, no cursor
		defer io.WriteString(w, "\x1b[?25h\x1b[?1049l")
	}
	for n := 0; o.Times == 0 || n < o.Times; n++ {
		select {
		case <-stop:
			return nil
		case <-time.After(o.Every):
		}
		now, err := take(b)
		if err != nil {
			return err
		}
		text := table(old, now)
		if !o.Batch {
			text = "\x1b[H" + fit(text) + "\x1b[J"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return nil
		}
		old = now
	}
	return nil
}

// fit cuts a table to the terminal.
func fit(text string) string {
	rows, cols := 24, 80
	if size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ); err == nil && size.Row > 1 {
		rows, cols = int(size.Row), int(size.Col)
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[:min(len(lines), rows-1)]
	for i := range lines {
		lines[i] = lines[i][:min(len(lines[i]), cols)] + "\x1b[K"
	}
	return strings.Join(lines, "\n") + "\n"
}

func table(old, now *sample) string {
	programs, conns := rates(old, now)
	var b strings.Builder
	var in, out, packets, again float64
	for _, p := range programs {
		in, out, packets, again = in+p.in, out+p.out, packets+p.packets, again+p.again
	}
	fmt.Fprintf(&b, "%s  %d programs, %d connections, %sB/s in, %sB/s out, %s packets/s, %s retransmitted/s\n\n", now.at.Format("15:04:05"),
		len(programs), len(conns), si(in), si(out), si(packets), si(again))
	fmt.Fprintf(&b, "%8s %-16s %7s %8s %8s %8s %8s %8s %8s %8s %6s\n", "PID", "PROGRAM", "CONNS", "IN B/s", "OUT B/s", "PKTS/s", "OPENS/s", "RETR/s", "DROPS/s", "CALLS/s", "FREE")
	for _, p := range programs {
		fmt.Fprintf(&b, "%8d %-16s %7d %8s %8s %8s %8s %8s %8s %8s %5.0f%%\n", p.pid, p.name, p.conns, si(p.in), si(p.out), si(p.packets), si(p.opened), si(p.again),
			si(p.drops), si(p.crosses), 100*p.free)
	}
	fmt.Fprintf(&b, "\n%8s %-22s %-22s %-10s %8s %8s %9s %6s %7s %7s %7s\n", "PID", "LOCAL", "PEER", "STATE", "IN B/s", "OUT B/s", "RTT ms", "CWND", "RETR/s", "RECV-Q", "SEND-Q")
	for i := range conns {
		c := &conns[i]
		fmt.Fprintf(&b, "%8d %-22s %-22s %-10s %8s %8s %9.3f %6d %7s %7s %7s\n", c.Accel.Pid, c.Local, c.Remote, sockets.StateName(c.State), si(c.in), si(c.out),
			float64(c.Info.RTT)/1000, c.Info.SndCwnd, si(c.again), si(float64(c.RecvQ)), si(float64(c.SendQ)))
	}
	b.WriteByte('\n')
	return b.String()
}

// si writes a number in at most six columns.
func si(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if v >= u.size {
			div := u.size
			if u.name == "k" {
				div = 1e3
			}
			return fmt.Sprintf("%.1f%s", v/div, u.name)
		}
	}
	return fmt.Sprintf("%.0f", v)
}

package sockets

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Show says what the text has beside state, queues and addresses: ss's options.
type Show struct {
	Numeric, Processes, Timers, Memory, Info, Extended bool
	NoHeader, OneLine                                  bool
	ManyStates                                         bool // the column of states is shown
}

// Text writes a table as ss does. Accelerated sockets have "sluice" behind their addresses.
func Text(w io.Writer, all []Socket, o Show) error {
	rows := make([][]string, 0, len(all)+1)
	if !o.NoHeader {
		rows = append(rows, o.row("State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Process"))
	}
	for i := range all {
		s := &all[i]
		rows = append(rows, o.row(StateName(s.State), strconv.Itoa(int(s.RecvQ)), strconv.Itoa(int(s.SendQ)),
			o.address(s, s.Local), o.address(s, s.Remote), strings.TrimPrefix(o.details(s), " ")))
	}
	return writeTable(w, rows)
}

func (o Show) row(cells ...string) []string {
	if !o.ManyStates {
		return cells[1:]
	}
	return cells
}

// writeTable pads all columns but the last.
func writeTable(w io.Writer, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r[:len(r)-1] {
			width[i] = max(width[i], len(c))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := ""
		for i, c := range r[:len(r)-1] {
			line += c + strings.Repeat(" ", width[i]-len(c)+1)
		}
		b.WriteString(strings.TrimRight(line+r[len(r)-1], " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// address is one end, as ss writes it.
func (o Show) address(s *Socket, a netip.AddrPort) string {
	ip := a.Addr()
	host := ip.String()
	switch {
	case ip.IsUnspecified() && ip.Is6() && !s.V6Only:
		host = "*"
	case ip.Is6():
		host = "[" + host + "]"
	}
	if s.Ifindex != 0 && a == s.Local {
		host += "%" + device(s.Ifindex)
	}
	port := "*"
	if a.Port() != 0 {
		port = strconv.Itoa(int(a.Port()))
		if !o.Numeric {
			port = serviceName(port)
		}
	}
	return host + ":" + port
}

// details are what follows the addresses: on the same line, then (memory and TCP_INFO) on one of their own.
func (o Show) details(s *Socket) string {
	var b strings.Builder
	if o.Processes && len(s.Users) > 0 {
		users := make([]string, len(s.Users))
		for i, u := range s.Users {
			users[i] = fmt.Sprintf("(%q,pid=%d,fd=%d)", u.Program, u.Pid, u.FD)
		}
		b.WriteString(" users:(" + strings.Join(users, ",") + ")")
	}
	if o.Timers && s.Timer != 0 {
		name := [...]string{"off", "on", "keepalive", "timewait", "persist", "unknown"}[min(s.Timer, 5)]
		fmt.Fprintf(&b, " timer:(%s,%s,%d)", name, milliseconds(s.Expires), s.Retrans)
	}
	if o.Extended {
		o.extended(&b, s)
	}
	if s.Accel != nil {
		b.WriteString(" " + s.Accel.text())
	}
	split := "\n\t"
	if o.OneLine {
		split = " "
	}
	if (o.Memory && s.Memory != nil) || (o.Info && s.Info != nil) {
		b.WriteString(split)
	}
	if o.Memory && s.Memory != nil {
		m := s.Memory
		fmt.Fprintf(&b, " skmem:(r%d,rb%d,t%d,tb%d,f%d,w%d,o%d,bl%d,d%d)", m.RmemAlloc, m.RcvBuf, m.WmemAlloc, m.SndBuf, m.FwdAlloc,
			m.WmemQueued, m.OptMem, m.Backlog, m.Drops)
	}
	if o.Info && s.Info != nil {
		b.WriteString(s.Info.text(s, o.Timers))
	}
	return b.String()
}

func (o Show) extended(b *strings.Builder, s *Socket) {
	if s.UID != 0 {
		fmt.Fprintf(b, " uid:%d", s.UID)
	}
	fmt.Fprintf(b, " ino:%d", s.Inode)
	if s.Cookie != 0 {
		fmt.Fprintf(b, " sk:%x", s.Cookie)
	}
	if s.Mark != 0 {
		fmt.Fprintf(b, " fwmark:0x%x", s.Mark)
	}
	if path := s.cgroup(); path != "" {
		b.WriteString(" cgroup:" + path)
	}
	if s.Family == unix.AF_INET6 && s.State == Listen && (s.Accel == nil || s.Accel.Owners != nil) {
		v := 0
		if s.V6Only {
			v = 1
		}
		fmt.Fprintf(b, " v6only:%d", v)
	}
	if s.Shutdown != nil {
		left, right := byte('<'), byte('>')
		if *s.Shutdown&1 != 0 {
			left = '-'
		}
		if *s.Shutdown&2 != 0 {
			right = '-'
		}
		fmt.Fprintf(b, " %c-%c", left, right)
	}
}

func (s *Socket) cgroup() string {
	if s.CgroupID != 0 {
		return cgroupPath(s.CgroupID)
	}
	return s.Cgroup
}

// text tells how a socket is accelerated.
func (a *Accel) text() string {
	var what []string
	if a.Device != "" {
		what = append(what, fmt.Sprintf("%s/%d", a.Device, a.Queue))
	}
	if a.Owners != nil {
		what = append(what, a.Owners...)
	} else {
		what = append(what, a.who())
	}
	for _, f := range []struct {
		on   bool
		text string
	}{{a.Waiting, "unaccepted"}, {a.Orphan, "closed"}, {a.Stale, "stale"}, {a.HalfOpen > 0, fmt.Sprintf("half-open=%d", a.HalfOpen)}} {
		if f.on {
			what = append(what, f.text)
		}
	}
	return "sluice:(" + strings.Join(what, ",") + ")"
}

// milliseconds is a time as ss's timers show it.
func milliseconds(ms uint32) string {
	s := ms / 1000
	m := s / 60
	ms, s = ms%1000, s%60
	out := ""
	if m > 0 {
		ms = 0
		out = fmt.Sprintf("%dmin", m)
		if m > 9 {
			s = 0
		}
	}
	if s > 0 {
		if s > 9 {
			ms = 0
		}
		out += strconv.Itoa(int(s))
		if ms > 0 {
			out += "."
		} else {
			out += "sec"
		}
	}
	if ms > 0 {
		out += fmt.Sprintf("%03dms", ms)
	}
	return out
}

func serviceName(port string) string {
	services()
	if name, ok := byPort[port]; ok {
		return name
	}
	return port
}

// lookupService is a service's port.
func lookupService(name string) (int, error) { return net.LookupPort("tcp", name) }

// Package counters gathers what accelerated programs count, under the names of /proc/net/snmp and /proc/net/netstat: `sluice netstat`.
package counters

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/ask"
)

// Set is a value for each of proto.DetailNames.
type Set []uint64

// Process is one program's.
type Process struct {
	Pid     int
	Program string
	Stale   bool // it did not answer: values of a moment ago
	Values  Set
	Engine  proto.Gauges
}

// Report is all there is to see. Ended is nil for those who are not root.
type Report struct {
	Total, Ended Set
	Processes    []Process
	Notes        []string
}

// Gather asks every program, or (pid not 0) one. Values are of the moment in which each program is asked.
func Gather(b *ask.Broker, pid int) (*Report, error) {
	st, err := b.Status()
	if err != nil {
		return nil, err
	}
	r := &Report{Total: make(Set, len(proto.DetailNames))}
	for _, l := range st.Leases {
		if pid != 0 && l.Pid != pid {
			continue
		}
		in, err := b.Counters(l.Pid)
		if err != nil {
			if _, gone := os.Stat(fmt.Sprintf("/proc/%d", l.Pid)); gone == nil {
				r.Notes = append(r.Notes, fmt.Sprintf("%s[%d]: %v", l.Program, l.Pid, err))
			}
			continue
		}
		if in.Stale {
			r.Notes = append(r.Notes, fmt.Sprintf("%s[%d] does not answer (stopped?): its counters may lag by a moment", l.Program, l.Pid))
		}
		r.Processes = append(r.Processes, Process{l.Pid, l.Program, in.Stale, in.Counters, in.Engine})
		r.Total.add(in.Counters)
	}
	if st.Ended != nil && pid == 0 {
		in, err := b.Counters(0)
		if err != nil {
			return nil, err
		}
		r.Ended = in.Counters
		r.Total.add(r.Ended)
	}
	return r, nil
}

func (s Set) add(o Set) {
	for i, v := range o {
		s[i] += v
	}
}

// Map names the values; without zeros unless asked for.
func (s Set) Map(zeros bool) map[string]uint64 {
	if s == nil {
		return nil
	}
	m := map[string]uint64{}
	for i, name := range proto.DetailNames {
		if zeros || s[i] != 0 {
			m[strings.ReplaceAll(name, ".", "")] = s[i]
		}
	}
	return m
}

// Text writes the values group by group, and what each program's memory and rings hold.
func (r *Report) Text(w io.Writer, zeros bool) {
	r.Total.text(w, zeros, r.established())
	for _, p := range r.Processes {
		fmt.Fprintf(w, "%s[%d]: %d connections (%d established, %d closed by the program), %d in TIME-WAIT\n", p.Program, p.Pid,
			p.Engine.Conns, p.Engine.CurrEstab, p.Engine.Orphans, p.Engine.TimeWaits)
		fmt.Fprintf(w, "    frames %d, free %d, unread %d; goroutines %d, heap %d KiB\n", p.Engine.Frames, p.Engine.Free, p.Engine.Received,
			p.Engine.Goroutines, p.Engine.Heap>>10)
		for _, g := range p.Engine.Rings {
			fmt.Fprintf(w, "    %s/%d rx %d, tx %d, fill %d; lost: ring full %d, no frame %d, other %d\n", g.Device, g.Queue, g.RX, g.TX, g.Fill,
				g.RXFull, g.FillEmpty, g.Dropped)
		}
	}
}

var titles = map[string]string{
	"Sluice": "Sluice", "Drop": "Drop (reasons, as the kernel's skb drop reasons)",
}

// currEstab is a gauge among the counters, behind this one as in /proc/net/snmp.
const currEstab, behind = "Tcp.CurrEstab", "Tcp.EstabResets"

// established is Tcp.CurrEstab of all.
func (r *Report) established() (n uint64) {
	for _, p := range r.Processes {
		n += uint64(p.Engine.CurrEstab)
	}
	return n
}

func (s Set) text(w io.Writer, zeros bool, established uint64) {
	group := ""
	line := func(name string, v uint64) {
		if v == 0 && !zeros {
			return
		}
		g, short, _ := strings.Cut(name, ".")
		if g != group {
			group = g
			title := titles[g]
			if title == "" {
				title = g
			}
			fmt.Fprintf(w, "%s:\n", title)
		}
		fmt.Fprintf(w, "    %-32s%d\n", short, v)
	}
	for i, name := range proto.DetailNames {
		line(name, s[i])
		if name == behind {
			line(currEstab, established)
		}
	}
}

// JSON writes all values, under the names that nstat(8) has for them.
func (r *Report) JSON(w io.Writer) error {
	type process struct {
		Pid     int               `json:"pid"`
		Program string            `json:"program"`
		Stale   bool              `json:"stale,omitempty"`
		Values  map[string]uint64 `json:"counters"`
		Engine  proto.Gauges      `json:"engine"`
	}
	out := struct {
		Total     map[string]uint64 `json:"total"`
		Ended     map[string]uint64 `json:"ended,omitempty"`
		Processes []process         `json:"processes"`
	}{r.Total.Map(true), r.Ended.Map(true), []process{}}
	out.Total[strings.ReplaceAll(currEstab, ".", "")] = r.established()
	for _, p := range r.Processes {
		out.Processes = append(out.Processes, process{p.Pid, p.Program, p.Stale, p.Values.Map(true), p.Engine})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

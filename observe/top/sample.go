// Package top is `sluice top`: programs and connections by what they do in a second.
package top

import (
	"net/netip"
	"sort"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/counters"
	"github.com/sluice-net/sluice/observe/sockets"
)

// sample is what was seen at a moment.
type sample struct {
	at       time.Time
	programs map[int]counters.Process
	conns    map[conn]sockets.Socket
}

type conn struct {
	pid           int
	local, remote netip.AddrPort
}

// take asks every program. One that does not answer is left out.
func take(b *ask.Broker) (*sample, error) {
	r, err := counters.Gather(b, 0)
	if err != nil {
		return nil, err
	}
	s := &sample{at: time.Now(), programs: map[int]counters.Process{}, conns: map[conn]sockets.Socket{}}
	for _, p := range r.Processes {
		s.programs[p.Pid] = p
	}
	all, _, err := sockets.Engines(b, 0)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		if x.Info != nil && x.State != sockets.Listen {
			s.conns[conn{x.Accel.Pid, x.Local, x.Remote}] = x
		}
	}
	return s, nil
}

// program is a row: what one does in a second.
type program struct {
	pid                           int
	name                          string
	conns                         int
	in, out                       float64 // bytes of IP packets
	packets                       float64
	opened, again, drops, crosses float64
	free                          float64 // part of the frames
}

// connection is a row.
type connection struct {
	sockets.Socket
	in, out, again float64 // bytes received, bytes acknowledged, segments retransmitted in a second
}

// rates compares two samples: both lists with the busiest first.
func rates(old, now *sample) (programs []program, conns []connection) {
	sec := now.at.Sub(old.at).Seconds()
	for pid, p := range now.programs {
		was := old.programs[pid].Values
		rate := func(names ...string) (sum float64) {
			for _, n := range names {
				if i := index[n]; was != nil && p.Values[i] >= was[i] {
					sum += float64(p.Values[i]-was[i]) / sec
				}
			}
			return sum
		}
		programs = append(programs, program{pid: pid, name: p.Program, conns: p.Engine.Conns, in: rate("IpExt.InOctets"), out: rate("IpExt.OutOctets"),
			packets: rate("Ip.InReceives", "Ip.OutRequests"), opened: rate("Tcp.PassiveOpens", "Tcp.ActiveOpens"), again: rate("Tcp.RetransSegs"),
			drops: rate(dropNames...), crosses: rate("Sluice.Crossings"), free: float64(p.Engine.Free) / float64(max(p.Engine.Frames, 1))})
	}
	for k, x := range now.conns {
		c := connection{Socket: x}
		if was, ok := old.conns[k]; ok && was.Accel.Handle == x.Accel.Handle && was.Info.BytesReceived <= x.Info.BytesReceived {
			c.in = float64(x.Info.BytesReceived-was.Info.BytesReceived) / sec
			c.out = float64(x.Info.BytesAcked-min(was.Info.BytesAcked, x.Info.BytesAcked)) / sec
			c.again = float64(x.Info.TotalRetrans-min(was.Info.TotalRetrans, x.Info.TotalRetrans)) / sec
		}
		conns = append(conns, c)
	}
	sort.Slice(programs, func(i, j int) bool {
		a, b := &programs[i], &programs[j]
		return a.in+a.out > b.in+b.out || a.in+a.out == b.in+b.out && a.pid < b.pid
	})
	sort.Slice(conns, func(i, j int) bool {
		a, b := &conns[i], &conns[j]
		if x, y := a.in+a.out, b.in+b.out; x != y {
			return x > y
		}
		return a.Remote.Compare(b.Remote) < 0
	})
	return programs, conns
}

var (
	index     = map[string]int{}
	dropNames []string
)

func init() {
	for i, n := range proto.DetailNames {
		index[n] = i
		if len(n) > 5 && n[:5] == "Drop." {
			dropNames = append(dropNames, n)
		}
	}
}

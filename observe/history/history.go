// Package history reads what happened to connections: `sluice trace` of those of running programs, `sluice postmortem` of those that a
// program had which was killed or crashed. It reads the memory that engines write to; no program is asked, or waits.
//
//	history.go  find the memory, read it
//	text.go     say it in words
package history

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/counters"
	"github.com/sluice-net/sluice/observe/sockets"
)

// Connection is one and its last events, oldest first.
type Connection struct {
	Pid     int            `json:"pid"`
	Program string         `json:"program"`
	Local   netip.AddrPort `json:"local"`
	Remote  netip.AddrPort `json:"peer"`
	State   string         `json:"state"`
	Over    bool           `json:"over,omitempty"` // the engine has it no more
	Before  int            `json:"before"`         // events before those that were kept
	Events  []Event        `json:"events"`
}

// Event is one of a connection's.
type Event struct {
	proto.Event
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// Which chooses connections: of a process, or by their ends.
type Which struct {
	Pid           int
	Local, Remote netip.AddrPort
}

func (w Which) match(e *proto.Entry) bool {
	return w.Pid != 0 || e.Local == plain(w.Local) && e.Remote == plain(w.Remote)
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// clock tells when a moment of CLOCK_MONOTONIC was.
type clock struct {
	now  time.Time
	mono int64
}

func newClock() clock {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return clock{time.Now(), t.Nano()}
}

func (c clock) at(mono int64) time.Time { return c.now.Add(time.Duration(mono - c.mono)) }

// Trace finds connections of running programs. Only if there is none it looks for one that is over and not overwritten yet.
func Trace(b *ask.Broker, w Which) ([]Connection, error) {
	st, err := b.Status()
	if err != nil {
		return nil, err
	}
	var live, over []Connection
	for _, l := range st.Leases {
		if w.Pid != 0 && l.Pid != w.Pid {
			continue
		}
		h, m, err := b.History(proto.History{Pid: l.Pid})
		if err != nil {
			continue // it has just ended, or has no memory yet
		}
		r := reader{h, m, newClock()}
		live = append(live, r.find(m.Each, w)...)
		if w.Pid == 0 {
			over = append(over, r.find(m.Ended, w)...)
		}
		m.Close()
	}
	if len(live) > 0 {
		return live, nil
	}
	if len(over) > 0 {
		return over, nil
	}
	if w.Pid != 0 {
		return nil, fmt.Errorf("no process %d of yours has connections that are accelerated", w.Pid)
	}
	return nil, fmt.Errorf("no program of yours has, or had a moment ago, the connection %v-%v", w.Local, w.Remote)
}

// Death is what a program left that ended with connections open.
type Death struct {
	Pid         int               `json:"pid"`
	Program     string            `json:"program"`
	Time        time.Time         `json:"time"`
	Why         string            `json:"why"`
	Left        int               `json:"left"`
	Connections []Connection      `json:"connections"`
	Counters    map[string]uint64 `json:"counters"`
}

// Postmortem reads it; pid 0: of the last one.
func Postmortem(b *ask.Broker, pid int) (*Death, error) {
	h, m, err := b.History(proto.History{Pid: pid, Dead: true})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	r := reader{h, m, clock{time.Unix(0, h.Time), h.Clock}}
	d := &Death{Pid: h.Pid, Program: h.Program, Time: r.now, Why: h.Why, Left: h.Left, Connections: r.find(m.Each, Which{Pid: h.Pid})}
	values := make(counters.Set, len(proto.DetailNames))
	for i := range values {
		values[i] = m.Counter(proto.FirstDetail + i)
	}
	d.Counters = values.Map(false)
	return d, nil
}

// reader is the memory of a program.
type reader struct {
	who proto.Histories
	m   *proto.StateMap
	clock
}

// find reads the connections chosen, of those that each goes through.
func (r *reader) find(each func(func(proto.Entry) bool), w Which) (all []Connection) {
	each(func(e proto.Entry) bool {
		if w.match(&e) {
			if c, ok := r.connection(&e); ok {
				all = append(all, c)
			}
		}
		return true
	})
	return all
}

func (r *reader) connection(e *proto.Entry) (Connection, bool) {
	events, before, err := r.m.History(e.Slot, r.mono+int64(time.Second)) // what is written after the clock was read is no half year old
	c := Connection{Pid: r.who.Pid, Program: r.who.Program, Local: e.Local, Remote: e.Remote, State: sockets.StateName(uint8(e.State)), Before: before}
	if e.State == 0 {
		c.State, c.Over = "", true
	}
	for _, x := range events {
		c.Events = append(c.Events, Event{x, r.at(x.At), text(x)})
	}
	if n := len(events); !c.Over && n > 0 {
		for _, x := range events { // the table's entry is as old as the last description; the history's is not
			if x.Kind == proto.EventState {
				c.State = sockets.StateName(x.To)
			}
		}
	}
	return c, err == nil && (len(events) > 0 || !c.Over)
}

package broker

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// inspectTimeout is how long a program may take to describe its sockets. One that is stopped, or computes under its engine's lock, does not
// answer: then what its state memory tells must do.
const inspectTimeout = 2 * time.Second

// opInspect asks a process for its sockets. Root may ask everybody, others their own.
func opInspect(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Inspect
	if err := p.Into(&r); err != nil || r.Pid < 0 || r.Pid == 0 && !r.Counters {
		return nil, nil, refuse("inspect: needs a process")
	}
	if r.Pid == 0 {
		return b.endedCounters(c)
	}
	type told struct {
		body proto.Inspected
		fds  []int
		err  error
	}
	answer := make(chan told, 1)
	b.mu.Lock()
	o := b.servedTo(c, r.Pid)
	if o == nil {
		b.mu.Unlock()
		return nil, nil, refuse("inspect: no process %d of yours is served", r.Pid)
	}
	program := o.program
	o.ask(proto.OpInspect, r, nil, inspectTimeout, func(p *proto.Packet, err error) {
		var t told
		if t.err = err; err == nil {
			t.err = p.Into(&t.body)
			t.fds, p.FDs = p.FDs, nil
		}
		answer <- t
	})
	b.mu.Unlock()
	a := <-answer
	if errors.Is(a.err, errTimeout) {
		if a.body, a.err = (proto.Inspected{Version: proto.RecordVersion, Stale: true}), nil; !r.Counters {
			return b.inspectState(o, program)
		}
	}
	if r.Counters {
		a.body.Comm, a.body.Counters = program, b.details(o)
		return a.body, nil, a.err
	}
	if a.err == nil && len(a.fds) != 1 {
		closeAll(a.fds)
		a.fds, a.err = nil, fmt.Errorf("%v: %d descriptors came with its answer", o, len(a.fds))
	}
	a.body.Comm = program
	return a.body, a.fds, a.err
}

// servedTo finds a process that c may ask about.
func (b *Broker) servedTo(c *client, pid int) *client {
	for o := range b.clients {
		if o.pid == pid && o != c && !o.gone && o.token != "" && (c.uid == 0 || c.uid == o.uid) && o.lease != 0 {
			return o
		}
	}
	return nil
}

// inspectState tells what the broker can see by itself.
func (b *Broker) inspectState(o *client, program string) (any, []int, error) {
	var records []proto.Record
	b.mu.Lock()
	if o.stateMap != nil {
		o.stateMap.Each(func(e proto.Entry) bool {
			r := proto.Record{Family: unix.AF_INET, State: uint8(e.State), Flags: proto.RecordBare, Handle: e.Handle, FD: -1, Ifindex: e.Ifindex, Queue: e.Queue,
				RecvQ: e.InQ, SendQ: e.OutQ}
			if e.Local.Addr().Is6() {
				r.Family = unix.AF_INET6
			}
			r.SetLocal(e.Local)
			r.SetRemote(e.Remote)
			records = append(records, r)
			return len(records) < proto.StateSlots
		})
	}
	b.mu.Unlock()
	fd, err := unix.MemfdCreate("sluice-sockets", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("inspect: %w", err)
	}
	if _, err := unix.Write(fd, proto.RecordBytes(records)); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("inspect: %w", err)
	}
	return proto.Inspected{Version: proto.RecordVersion, Records: len(records), Stale: true, Comm: program}, []int{fd}, nil
}

// details reads the counters of a process.
func (b *Broker) details(o *client) []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := make([]uint64, len(proto.DetailNames))
	for i := range v {
		if o.stateMap != nil {
			v[i] = o.stateMap.Counter(proto.FirstDetail + i)
		}
	}
	return v
}

// endedCounters are those of the processes that ended.
func (b *Broker) endedCounters(c *client) (any, []int, error) {
	if c.uid != 0 {
		return nil, nil, refuse("inspect: only root may see what others did")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return proto.Inspected{Version: proto.RecordVersion, Counters: append([]uint64{}, b.past[proto.FirstDetail:proto.FirstDetail+len(proto.DetailNames)]...)}, nil, nil
}

// Package ask is how the tools that look at accelerated programs (sluice ss, netstat, top, ...) talk to the broker. The broker tells root
// everything and others about their own programs.
package ask

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/broker/proto"
)

// Timeout bounds one question. The broker gives a program that does not answer less than that.
const Timeout = 10 * time.Second

// Broker is a channel to one.
type Broker struct {
	c    *proto.Client
	door int
}

// Dial opens it. name is what the broker calls the tool in its log.
func Dial(socket, name string) (*Broker, error) {
	door, err := proto.Dial(socket)
	if err != nil {
		return nil, err
	}
	c, _, err := proto.Open(door, proto.Hello{Program: name, Tool: true}, Timeout)
	if err != nil {
		unix.Close(door)
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Broker{c: c, door: door}, nil
}

// Close ends the channel, and all that was asked for through it.
func (b *Broker) Close() {
	b.c.Close()
	unix.Close(b.door)
}

// Status is what the broker knows by itself.
func (b *Broker) Status() (st broker.Status, err error) {
	_, err = b.c.Call(proto.OpStatus, nil, nil, &st, Timeout)
	return st, err
}

// Inspect asks a process for its sockets.
func (b *Broker) Inspect(pid int) (in proto.Inspected, records []proto.Record, err error) {
	fds, err := b.c.Call(proto.OpInspect, proto.Inspect{Pid: pid}, nil, &in, Timeout)
	defer closeAll(fds)
	if err != nil {
		return in, nil, err
	}
	if in.Version != proto.RecordVersion || len(fds) != 1 {
		return in, nil, fmt.Errorf("process %d: records of version %d, this tool reads %d", pid, in.Version, proto.RecordVersion)
	}
	records, err = read(fds[0], in.Records)
	return in, records, err
}

// Counters asks a process for its counters (proto.DetailNames) and gauges; process 0 is all that ended.
func (b *Broker) Counters(pid int) (in proto.Inspected, err error) {
	fds, err := b.c.Call(proto.OpInspect, proto.Inspect{Pid: pid, Counters: true}, nil, &in, Timeout)
	closeAll(fds)
	if err == nil && len(in.Counters) != len(proto.DetailNames) {
		err = fmt.Errorf("the broker tells %d counters, this tool knows %d", len(in.Counters), len(proto.DetailNames))
	}
	return in, err
}

// History maps the memory with the histories of a process's connections, to read.
func (b *Broker) History(of proto.History) (h proto.Histories, m *proto.StateMap, err error) {
	fds, err := b.c.Call(proto.OpHistory, of, nil, &h, Timeout)
	defer closeAll(fds)
	if err != nil {
		return h, nil, err
	}
	if len(fds) != 1 {
		return h, nil, fmt.Errorf("process %d: %d descriptors came", h.Pid, len(fds))
	}
	m, err = proto.ReadState(fds[0])
	return h, m, err
}

// maxRecords is more sockets than an engine has handles, half-open connections and TIME-WAITs by default.
const maxRecords = 1 << 20

// read copies the records. The memory is the process's, which may shrink it meanwhile: it is read, never mapped.
func read(fd, n int) ([]proto.Record, error) {
	if n < 0 || n > maxRecords {
		return nil, fmt.Errorf("%d records", n)
	}
	records := make([]proto.Record, n)
	b := proto.RecordBytes(records)
	for at := 0; at < len(b); {
		k, err := unix.Pread(fd, b[at:], int64(at))
		if err == unix.EINTR {
			continue
		}
		if err != nil || k == 0 {
			return nil, fmt.Errorf("records end after %d of %d bytes: %v", at, len(b), err)
		}
		at += k
	}
	return records, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Mirror asks for the packets of programs; Rings then tells where they come.
func (b *Broker) Mirror(m proto.Mirror, fds ...int) error {
	_, err := b.c.Call(proto.OpMirror, m, fds, nil, Timeout)
	return err
}

// Rings returns one more program's ring, whose descriptor is the caller's; fd -1: none now. It waits no longer than that.
func (b *Broker) Rings(wait time.Duration) (r proto.Ring, fd int, err error) {
	p, err := b.c.Next()
	if p == nil && err == nil && wait > 0 {
		unix.Poll([]unix.PollFd{{Fd: int32(b.c.FD()), Events: unix.POLLIN}}, int(wait/time.Millisecond))
		p, err = b.c.Next()
	}
	if p == nil || err != nil {
		return r, -1, err
	}
	defer p.CloseFDs()
	if p.Op != proto.OpRing || len(p.FDs) != 1 {
		return r, -1, nil
	}
	fd, p.FDs = p.FDs[0], nil
	return r, fd, p.Into(&r)
}

package broker

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// Bounds of what is kept of programs that ended with connections open.
const (
	maxDead      = 8
	maxDeadBytes = 64 << 20
)

// dead is such a program, and what it left: its state memory, with the history of each connection.
type dead struct {
	proto.Histories
	uid   uint32
	state *os.File
}

// bury keeps what a client left that had connections; the file is no longer the client's then.
func (b *Broker) bury(c *client, why string, left int) {
	if left == 0 || c.state == nil || b.closed {
		return
	}
	b.dead = append(b.dead, dead{
		proto.Histories{Pid: c.pid, Program: c.program, Time: time.Now().UnixNano(), Clock: monotonic(), Why: why, Left: left}, c.uid, c.state,
	})
	c.state = nil
	for len(b.dead) > 1 && (len(b.dead) > maxDead || b.deadBytes() > maxDeadBytes) {
		b.dead[0].state.Close()
		b.dead = append(b.dead[:0], b.dead[1:]...)
	}
}

// deadBytes is the memory that the dead hold.
func (b *Broker) deadBytes() (n int64) {
	for _, d := range b.dead {
		var st unix.Stat_t
		if unix.Fstat(int(d.state.Fd()), &st) == nil {
			n += st.Blocks * 512
		}
	}
	return n
}

func (b *Broker) forgetDead() {
	for _, d := range b.dead {
		d.state.Close()
	}
	b.dead = nil
}

func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// opHistory lets root read every program's state memory, others those of their own. No program is asked, or waits.
func opHistory(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var want proto.History
	if err := p.Into(&want); err != nil {
		return nil, nil, refuse("history: not understood")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !want.Dead {
		o := b.servedTo(c, want.Pid)
		if o == nil || o.state == nil {
			return nil, nil, refuse("history: no process %d of yours is served", want.Pid)
		}
		return toRead(proto.Histories{Pid: o.pid, Program: o.program}, o.state)
	}
	for i := len(b.dead) - 1; i >= 0; i-- {
		if d := &b.dead[i]; (c.uid == 0 || c.uid == d.uid) && (want.Pid == 0 || want.Pid == d.Pid) {
			return toRead(d.Histories, d.state)
		}
	}
	return nil, nil, refuse("history: no such program of yours ended with connections open")
}

// toRead opens the memory once more: the one who gets that cannot write by it.
func toRead(body proto.Histories, state *os.File) (any, []int, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", state.Fd()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("history: %w", err)
	}
	return body, []int{fd}, nil
}

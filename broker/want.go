package broker

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// opWant gets a connection from the process that has it, for a process forked from it. Waits for the owner.
func opWant(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Want
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("want: %v", err)
	}
	b.mu.Lock()
	owner := b.clientOf(r.Pid, r.Token)
	if owner == nil && r.Token != "" { // of a channel before this one: it proves nothing
		r.Token = ""
		owner = b.clientOf(r.Pid, "")
	}
	b.mu.Unlock()
	if owner == nil {
		return nil, nil, refuse("want: process %d is no client here (any more)", r.Pid)
	}
	if r.Token == "" && !(owner.uid == c.uid && descends(c.pid, owner.pid)) {
		return nil, nil, refuse("want: %v is no child of %v", c, owner)
	}
	fd, err := b.give(owner, proto.Give{Handle: r.Handle})
	if err != nil {
		return nil, nil, fmt.Errorf("want: %w", err)
	}
	return nil, []int{fd}, nil
}

// clientOf finds a process by its token, or by its pid.
func (b *Broker) clientOf(pid int, token string) *client {
	for c := range b.clients {
		if token != "" && c.token == token || token == "" && c.pid == pid && !c.gone {
			return c
		}
	}
	return nil
}

// give asks a process to hand a connection over, and returns the kernel socket.
func (b *Broker) give(owner *client, g proto.Give) (int, error) {
	type answer struct {
		fd  int
		err error
	}
	ch := make(chan answer, 1)
	b.mu.Lock()
	owner.ask(proto.OpGive, g, nil, b.cfg.GiveTimeout, func(p *proto.Packet, err error) {
		if err == nil && len(p.FDs) != 1 {
			err = refuse("%v gave no socket", owner)
		}
		if err != nil {
			ch <- answer{-1, err}
			return
		}
		fd := p.FDs[0]
		p.FDs = nil
		ch <- answer{fd, nil}
	})
	b.mu.Unlock()
	a := <-ch
	if a.err == nil {
		if k, err := unix.GetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || k != unix.IPPROTO_TCP {
			unix.Close(a.fd)
			return -1, refuse("%v gave no TCP socket", owner)
		}
	}
	return a.fd, a.err
}

package broker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// moveTimeout is how long a program may take to move all its connections.
const moveTimeout = 60 * time.Second

// Connections are moved by hand through the program that has them: only it can stop its threads' calls on them for the moment.

func opDetach(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	return b.moveByHand(c, p, proto.OpDetach, func(o *client, t steer.Tuple) bool {
		_, has := o.find(t)
		return has
	})
}

func opAttach(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	return b.moveByHand(c, p, proto.OpAttach, func(o *client, t steer.Tuple) bool { return o.ownsPort(t.Local) })
}

// moveByHand asks each process that is meant; has says whether a connection may be a process's.
func (b *Broker) moveByHand(c *client, p *proto.Packet, op proto.Op, has func(*client, steer.Tuple) bool) (any, []int, error) {
	var w proto.Which
	if err := p.Into(&w); err != nil || w.Pid == 0 && !(w.Local.IsValid() && w.Remote.IsValid()) {
		return nil, nil, refuse("%s: needs a process or a connection", op)
	}
	w.Local, w.Remote = unmap(w.Local), unmap(w.Remote)
	b.mu.Lock()
	mine := func(meant func(*client) bool) (out []*client) {
		for o := range b.clients {
			if !o.gone && (o.stateMap != nil || o.tells) && (c.uid == 0 || c.uid == o.uid) && meant(o) {
				out = append(out, o)
			}
		}
		return out
	}
	t := steer.Tuple{Local: w.Local, Remote: w.Remote}
	meant := mine(func(o *client) bool { return w.Pid == o.pid || w.Pid == 0 && has(o, t) })
	anybody := len(meant) == 0 && w.Pid == 0 && op == proto.OpAttach
	if anybody { // of what only the kernel has we do not know whose it is
		meant = mine(func(*client) bool { return true })
	}
	asked := len(meant)
	answers := make(chan answer, asked)
	for _, o := range meant {
		o.ch.rouse(awakeFor)
		o.ask(op, w, nil, moveTimeout, func(p *proto.Packet, err error) { answers <- moved(p, err) })
	}
	b.mu.Unlock()
	if asked == 0 {
		return nil, nil, refuse("%s: no program here has it", op)
	}
	var sum proto.Moves
	var first error
	for range asked {
		a := <-answers
		sum.Add(a.Moves)
		if a.err != nil && first == nil {
			first = a.err
		}
	}
	switch {
	case first != nil && sum.Moved == 0:
		return nil, nil, fmt.Errorf("%s: %w", op, first)
	case anybody && sum.Moved+sum.Left == 0:
		return nil, nil, refuse("%s: no program here has it", op)
	}
	return sum, nil, nil
}

// awakeFor is how long what the programs are about to ask for is waited for without sleep.
const awakeFor = 500 * time.Microsecond

type answer struct {
	proto.Moves
	err error
}

func moved(p *proto.Packet, err error) (a answer) {
	if a.err = err; err == nil {
		a.err = p.Into(&a.Moves)
	}
	return a
}

// Move asks the broker at a socket to move connections: op is proto.OpDetach or proto.OpAttach.
func Move(socket string, op proto.Op, w proto.Which) (m proto.Moves, err error) {
	door, err := proto.Dial(socket)
	if err != nil {
		return m, err
	}
	defer unix.Close(door)
	c, _, err := proto.Open(door, proto.Hello{Program: string(op), Tool: true}, moveTimeout)
	if err != nil {
		return m, fmt.Errorf("%s: %w", op, err)
	}
	defer c.Close()
	_, err = c.Call(op, w, nil, &m, moveTimeout)
	return m, err
}

package broker

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// A flow may change its queue in mid-life: a peer picks another hash after a timeout, a driver another table. Its segments then reach a
// process that knows nothing of it, and an RST from there would kill it. That process asks here first; the owner, found in the state
// tables, hands the connection to the kernel, which gets its packets whatever the queue.

func opStray(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Stray
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("stray: %v", err)
	}
	t := steer.Tuple{Local: unmap(r.Local), Remote: unmap(r.Remote)}
	if !t.Local.IsValid() || !t.Remote.IsValid() {
		return nil, nil, refuse("stray: both ends must be given")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.covered(c, t) {
		return proto.Owned{Free: b.onlyOwner(c, t)}, nil, nil
	}
	for o := range b.clients {
		if o == c || o.gone || o.space != c.space || o.stateMap == nil {
			continue
		}
		if e, ok := o.find(t); ok {
			b.rescue(o, t, e)
			return proto.Owned{Owned: true}, nil, nil
		}
	}
	free := c.space.died(t) || !c.space.awaited() && !b.shared(c, t)
	if !free {
		b.inquire(c.space, t)
	}
	return proto.Owned{Free: free}, nil, nil
}

// awaited: programs that an earlier broker served may still show what they have.
func (s *space) awaited() bool {
	return s.b.grace != nil && slices.ContainsFunc(s.all(), func(d *device) bool { return d.found })
}

// onlyOwner: an outgoing connection's port, which no other program has. What comes for it after its end is answered at once.
func (b *Broker) onlyOwner(c *client, t steer.Tuple) bool {
	for o := range b.clients {
		if o != c && !o.gone && o.space == c.space && o.ownsPort(t.Local) {
			return false
		}
	}
	return c.ownsPort(t.Local)
}

// shared tells whether another program may have the flow half open, which no table tells.
func (b *Broker) shared(c *client, t steer.Tuple) bool {
	for o := range b.clients {
		if o != c && !o.gone && o.space == c.space && b.covered(o, t) {
			return true
		}
	}
	return false
}

// remember keeps the connections of a dead program, and those of nobody, for a while: what their peers send may reach another's queue.
func (s *space) remember(tuples []steer.Tuple) {
	now := time.Now()
	if now.After(s.deadSweep) {
		maps.DeleteFunc(s.dead, func(_ steer.Tuple, until time.Time) bool { return now.After(until) })
		s.deadSweep = now.Add(deadLife)
	}
	if s.dead == nil {
		s.dead = map[steer.Tuple]time.Time{}
	}
	for _, t := range tuples {
		s.dead[t] = now.Add(deadLife)
	}
}

// deadLife is longer than the resets take.
const deadLife = 10 * time.Second

func (s *space) died(t steer.Tuple) bool { return time.Now().Before(s.dead[t]) }

// covered: a program may only ask about ports that are its own too.
func (b *Broker) covered(c *client, t steer.Tuple) bool {
	for _, l := range c.listeners {
		if l.key.covers(t.Local) {
			return true
		}
	}
	return false
}

// find looks a connection up in the client's table.
func (c *client) find(t steer.Tuple) (e proto.Entry, ok bool) {
	c.stateMap.Each(func(x proto.Entry) bool {
		if x.Local == t.Local && x.Remote == t.Remote {
			e, ok = x, true
		}
		return !ok
	})
	return e, ok
}

// rescue asks the owner to hand the connection over, once at a time.
func (b *Broker) rescue(o *client, t steer.Tuple, e proto.Entry) {
	if o.rescues[t] || len(o.rescues) >= maxDelivered {
		return
	}
	o.rescues[t] = true
	b.log.Debugf("broker: %v -> %v strays from %v", t.Local, t.Remote, o)
	o.ask(proto.OpGive, proto.Give{Handle: -1, Local: t.Local, Remote: t.Remote}, nil, b.cfg.GiveTimeout, func(p *proto.Packet, err error) {
		if err == nil {
			for _, fd := range p.FDs {
				unix.Close(fd)
			}
			p.FDs = nil
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(o.rescues, t)
		b.count.Strays++
	})
}

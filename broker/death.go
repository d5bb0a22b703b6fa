package broker

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// watch waits for the process to end. Its channel alone does not tell: a child between fork and exec has a copy of it.
func (b *Broker) watch(c *client, pidfd *os.File) {
	if ended(pidfd) {
		b.drop(c, "process ended")
	}
}

// ended waits for a process's end; false: nobody wants to know any more, and pidfd was closed.
func ended(pidfd *os.File) (dead bool) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 0)
		dead = n > 0 && p[0].Revents&unix.POLLIN != 0
		return dead
	})
	return dead
}

// drop ends a client: what it had goes to the kernel, then to others; peers of its connections get resets.
func (b *Broker) drop(c *client, why string) {
	b.mu.Lock()
	if c.gone {
		b.mu.Unlock()
		c.ch.close()
		return
	}
	c.gone = true
	delete(b.clients, c)
	asks := c.asks
	c.asks = map[uint64]*ask{}
	rest := c.leave()
	b.endMirrors(c)
	s := c.space
	if s != nil {
		s.refs++ // for the resets
	}
	estate := ""
	if c.state != nil {
		estate = estateName(c.state)
	}
	if c.stateMap != nil {
		b.remember(c.stateMap)
		b.bury(c, why, len(rest))
	}
	c.closeFiles()
	b.mu.Unlock()
	c.ch.close()
	for _, a := range asks {
		if a.timer != nil {
			a.timer.Stop()
		}
		a.done(nil, errGone)
	}
	if c.pid != 0 {
		b.log.Infof("broker: %v: %s; %d connections left", c, why, len(rest))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s != nil {
		b.reset(s, rest)
		s.put()
		c.space = nil
		s.put()
	}
	if estate != "" {
		b.forgetEstate(estate)
	}
}

// leave takes everything from the client and returns the connections it still had.
func (c *client) leave() []steer.Tuple {
	s := c.space
	if s == nil {
		return nil
	}
	rest := c.connections()
	for t, d := range c.flows {
		c.dropFlow(t, d)
	}
	c.unleaseAll()
	for _, d := range s.all() {
		d.leave(c)
		for _, q := range d.queues {
			switch {
			case q.owner != c:
			case len(rest) == 0 && len(d.members) > 0: // it ended well, perhaps before its answer was read: see vacate
				d.vacate(q)
			default: // what its peers answer to their resets is for the kernel
				d.free(q)
			}
		}
	}
	clear(c.listeners)
	for _, d := range s.all() {
		d.reconcile()
	}
	return rest
}

// connections reads the client's table, as far as it is believable: connections of ports it had shown.
func (c *client) connections() (rest []steer.Tuple) {
	if c.stateMap == nil {
		return nil
	}
	return connectionsIn(c.stateMap, c.hadPort)
}

// connectionsIn are those in a table that are open, as far as they are believed.
func connectionsIn(m *proto.StateMap, believed func(steer.Tuple) bool) (rest []steer.Tuple) {
	m.Each(func(e proto.Entry) bool {
		t := steer.Tuple{Local: e.Local, Remote: e.Remote}
		if e.State != stateTimeWait && t.Remote.Port() != 0 && believed(t) {
			rest = append(rest, t)
		}
		return len(rest) < proto.StateSlots
	})
	return rest
}

const stateTimeWait = 6 // of include/net/tcp_states.h: its peer is done

func (c *client) hadPort(t steer.Tuple) bool {
	if c.flows[t] != nil || c.leased[t.Local] != nil {
		return true
	}
	for _, l := range c.listeners {
		if l.key.covers(t.Local) {
			return true
		}
	}
	return false
}

// reset makes the peers of dead connections learn of it. A SYN from the dead end draws a challenge ACK (RFC 5961 section 4.2: "If the SYN bit
// is set, irrespective of the sequence number, TCP endpoints MUST send an ACK (also referred to as challenge ACK) to the remote peer"),
// and our kernel, which has no such connection, answers that with the one RST that is exact.
func (b *Broker) reset(s *space, tuples []steer.Tuple) {
	if len(tuples) == 0 {
		return
	}
	b.count.Resets += uint64(len(tuples))
	s.remember(tuples)
	s.refs++
	b.goDo(func() {
		// Twice: challenge ACKs are limited to one in half a second for each connection.
		for i := range 2 {
			if i > 0 && !b.pause(600*time.Millisecond) {
				break
			}
			if err := b.back.SendSYN(s.fd(), tuples); err != nil {
				b.log.Debugf("broker: resets: %v", err)
				break
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		s.put()
	})
}

// pause waits, and says false if the broker stops meanwhile.
func (b *Broker) pause(d time.Duration) bool {
	select {
	case <-b.stopping:
		return false
	case <-time.After(d):
		return true
	}
}

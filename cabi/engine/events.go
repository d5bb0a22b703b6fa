package engine

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

const (
	// yieldGrace is how long half-open connections on a queue may take to finish before it is given up. Those that the program makes may take
	// as long as they need: there is no such state that the kernel could be given. The broker waits no longer than it likes.
	yieldGrace = int64(250 * time.Millisecond)
	// yieldLook is how often their number is looked at.
	yieldLook = int64(2 * time.Millisecond)
)

// yield is a broker's wish for queues, being fulfilled.
type yield struct {
	event  *proto.Packet
	queues []proto.QueueRef
	until  int64
	polled bool  // what was in the rings when it came has been taken
	urge   int64 // when to repeat the SYN-ACKs of what is half open there
}

// next is when to look at it again: what it waits for comes by packets and timers, too.
func (y *yield) next(now int64) int64 {
	if now < y.until {
		return min(y.until, now+yieldLook)
	}
	return now + 10*yieldLook
}

// events handles what the broker has to tell, and returns how much it was.
func (e *Engine) events(now int64) (n int) {
	for n < 64 && e.link.client != nil {
		p, err := e.link.client.Next()
		if err != nil {
			e.lost(now, err)
			return n + 1
		}
		if p == nil {
			return n
		}
		n++
		e.event(now, p)
		p.CloseFDs()
	}
	return n
}

func (e *Engine) event(now int64, p *proto.Packet) {
	var err error
	switch p.Op {
	case proto.OpVIs:
		err = e.gained(now, p)
	case proto.OpYield:
		err = e.asked(now, p)
	case proto.OpAccepted:
		err = e.accepted(p)
	case proto.OpGive:
		e.give(now, p)
	case proto.OpClosed:
		err = e.closed(p)
	case proto.OpGone:
		err = e.gone(now, p)
	case proto.OpDetach:
		err = e.detach(now, p)
	case proto.OpAttach:
		err = e.attach(p)
	case proto.OpWhose:
		err = e.whose(now, p)
	case proto.OpRelease:
		err = e.unlease(now, p)
	case proto.OpInspect:
		err = e.inspect(now, p)
	case proto.OpTap:
		if err = e.tap(p); err == nil && p.ID != 0 {
			e.answer(now, p, "", nil)
		}
	}
	if err != nil {
		e.debug("%s: %v", p.Op, err)
		if p.ID != 0 {
			e.answer(now, p, err.Error(), nil)
		}
	}
}

func (e *Engine) answer(now int64, p *proto.Packet, reason string, fds []int) {
	if e.link.client == nil {
		return
	}
	if err := e.link.client.Answer(p, reason, nil, fds...); err != nil {
		e.lost(now, err)
	}
}

// gained: queues were added to the lease.
func (e *Engine) gained(now int64, p *proto.Packet) error {
	var v proto.VIs
	if err := p.Into(&v); err != nil {
		return err
	}
	if e.plane == nil {
		return fmt.Errorf("no lease")
	}
	fds := p.FDs
	p.FDs = nil
	if err := e.addLanes(v.VIs, fds); err != nil {
		return err
	}
	e.ready(now, 0)
	return nil
}

// asked: queues are wanted back.
func (e *Engine) asked(now int64, p *proto.Packet) error {
	var y proto.Yield
	if err := p.Into(&y); err != nil {
		return err
	}
	if e.plane == nil {
		e.answer(now, p, "", nil)
		return nil
	}
	e.yields = append(e.yields, yield{event: p, queues: y.Queues, until: now + yieldGrace})
	return nil
}

// giveUp gives up queues whose half-open connections are through, or have had their time.
func (e *Engine) giveUp(now int64) {
	for i := 0; i < len(e.yields); {
		y := &e.yields[i]
		if !y.polled || e.connecting() || (now < y.until && e.halfOpen(y.queues)) {
			if y.polled {
				e.urge(now, y)
			}
			y.polled = true // by the next turn
			i++
			continue
		}
		event, queues := y.event, y.queues
		e.yields = append(e.yields[:i], e.yields[i+1:]...)
		e.passOn(now)
		for _, q := range queues {
			l := e.plane.lane(q)
			if l == nil {
				continue
			}
			e.moveAll(now, l.carries)
			if e.orphaned(now) { // what did not move lives by that queue, and nobody wants it any more
				return
			}
			e.removeLane(e.plane, l)
		}
		e.closeBlocks(now)
		e.answer(now, event, "", nil)
	}
}

// prolong makes up for a time in which nobody looked at packets: an engine whose broker took longer than the grace answered the SYNs that had come
// meanwhile, and forgot them with their queue at once.
func (e *Engine) prolong(deaf int64) {
	for i := range e.yields {
		e.yields[i].until += deaf
	}
}

// urge repeats the SYN-ACKs of what is half open on queues that go, at once and in the middle of the time there is: each was to come a second after the first,
// just as the SYN of whom the first did not reach. That SYN is the kernel's by now; with both answers, the client would take one and acknowledge it to the
// other, which would reset it (make chaos seeds 1 and 311: reloads after a bad link).
func (e *Engine) urge(now int64, y *yield) {
	if now >= y.until || now < y.urge {
		return
	}
	y.urge = now + yieldGrace/2
	for _, q := range y.queues {
		e.plane.stack.Urge(now, q.Ifindex, q.Queue)
	}
}

func (e *Engine) halfOpen(queues []proto.QueueRef) bool {
	for l := range e.listeners() {
		for _, q := range queues {
			if l.sock != nil && l.sock.Listener().HalfOpen(q.Ifindex, q.Queue) > 0 {
				return true
			}
		}
	}
	return false
}

// connecting tells whether an active open waits for its answer, which may come by any queue.
func (e *Engine) connecting() (some bool) {
	if e.ports.inUse+len(e.flows) == 0 {
		return false
	}
	e.plane.stack.Each(func(s *usock.Socket) { some = some || s.State() == tcp.SynSent })
	return some
}

// accepted: a kernel socket for one of our accept queues.
func (e *Engine) accepted(p *proto.Packet) error {
	var a proto.Accepted
	if err := p.Into(&a); err != nil {
		return err
	}
	if len(p.FDs) != 1 {
		return fmt.Errorf("%d descriptors", len(p.FDs))
	}
	for _, l := range e.listens {
		if l.cookie == a.Cookie {
			fd := p.FDs[0]
			if a.Kept {
				got, err := proto.Take(fd, e.boot.FDMin)
				if err != nil { // who passed it on has it again
					return err
				}
				fd = got[0]
				closeAll(got[1:])
			} else {
				p.FDs = nil
			}
			e.push(l, fd)
			e.answer(nanotime(), p, "", nil)
			return nil
		}
	}
	return fmt.Errorf("no such listener")
}

// give: somebody else needs one of our connections as a kernel socket.
func (e *Engine) give(now int64, p *proto.Packet) {
	var g proto.Give
	if err := p.Into(&g); err != nil {
		e.answer(now, p, err.Error(), nil)
		return
	}
	h := g.Handle
	if h < 0 {
		h = e.handleOf(&g)
	}
	fd := -1
	_, err := e.Handover(now, h)
	if err == nil {
		fd, err = e.movedCopy(h)
	}
	if err != nil {
		e.answer(now, p, err.Error(), nil)
		return
	}
	e.answer(now, p, "", []int{fd})
	_ = unix.Close(fd)
}

// movedCopy is a copy of the kernel socket that a connection has become. Threads of the program may be about to close the one there is, without the
// engine's lock; they say so first.
func (e *Engine) movedCopy(h int32) (int, error) {
	for w := &e.sh.Words[h].Moved; ; {
		v := w.Load()
		if v == 0 || v == Gone {
			return -1, unix.ECONNRESET
		}
		fd, err := unix.FcntlInt(uintptr(v-1), unix.F_DUPFD_CLOEXEC, e.boot.FDMin)
		if w.Load() == v {
			return fd, err
		}
		if err == nil {
			_ = unix.Close(fd)
		}
	}
}

// handleOf finds a connection by its addresses, -1 if there is none.
func (e *Engine) handleOf(g *proto.Give) int32 {
	h := int32(-1)
	if e.plane != nil {
		e.plane.stack.Each(func(s *usock.Socket) {
			if s.Tag >= 0 && plain(s.Local()) == g.Local && plain(s.Remote()) == g.Remote {
				h = s.Tag
			}
		})
	}
	return h
}

// gone: a device vanished. Its connections go to the kernel, which knows what to do without a device.
func (e *Engine) gone(now int64, p *proto.Packet) error {
	var g proto.Gone
	if err := p.Into(&g); err != nil || e.plane == nil {
		return err
	}
	e.refuse(fmt.Sprintf("interface %d is gone: its connections go to the kernel", g.Ifindex))
	e.moveAll(now, func(s *usock.Socket) bool {
		i, _ := s.LastRX()
		return i == g.Ifindex
	})
	e.closeBlocks(now)
	for i := 0; i < len(e.plane.lanes); {
		if l := e.plane.lanes[i]; l.ref.Ifindex == g.Ifindex {
			e.removeLane(e.plane, l)
			continue
		}
		i++
	}
	return nil
}

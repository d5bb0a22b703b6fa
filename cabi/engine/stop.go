package engine

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/usock"
)

// stopTime bounds how long an exit may take, beside its moves.
const stopTime = int64(2 * time.Second)

// Stop is sl_stop: the kernel finishes what is open or unacknowledged, accepted connections that nobody took go to the other
// owners of their listener, and the lease ends.
func (e *Engine) Stop(now int64) {
	if e.stopped {
		return
	}
	e.stopped = true
	if p := e.plane; p != nil {
		p.stack.Poll(now, budget)
		e.listens, e.listened = nil, append(e.listened, e.listens...)
		for _, l := range e.listened {
			if l.h >= 0 { // the kernel's listener goes on
				e.moved(l.h, -1)
				l.h = -1
			}
			e.left(now, l)
		}
		e.passOn(now)
		e.moveAll(now, func(*usock.Socket) bool { return true })
		e.look(now) // what moved is told
		e.dropPorts(now)
		now = nanotime() // that took a while
		for end := now + stopTime; len(p.lanes) > 0 && e.link.client != nil && now < end; now = nanotime() {
			p.stack.Poll(now, budget)
			e.kick()
			if e.look(now) == 0 {
				e.rest()
			}
		}
		e.publish(now) // the broker keeps the last state
		e.detail(now)
	}
	e.hangUp()
	e.link = link{}
	e.release(now)
	e.shut()
}

// rest waits a moment for the broker and for packets.
func (e *Engine) rest() {
	fds := []unix.PollFd{{Fd: e.sh.WakeFD, Events: unix.POLLIN}}
	for _, l := range e.plane.lanes {
		fds = append(fds, unix.PollFd{Fd: int32(l.vi.FD()), Events: unix.POLLIN})
	}
	_, _ = unix.Poll(fds, 2)
}

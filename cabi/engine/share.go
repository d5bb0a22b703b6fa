package engine

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// The kernel's queue of a listener belongs to all processes that have it: who accepts next gets the connection. A queue of ours belongs to the
// process to which the device's queue led the connection, and that may be busy for long while others wait: a child of php-fpm serves one
// connection at a time, for as long as nginx keeps it. So what waits while the process does not accept is passed on to another. If only processes
// that cannot have an engine accept, and this one never has (dovecot's master polls, and starts them), the listener is left to the kernel.
const (
	sharePause   = int64(500 * time.Millisecond) // without an accept, until the first is passed on: far longer than a process waits for a processor
	shareLongest = int64(time.Second)            // between two attempts: it doubles while all are busy
)

// waits notes that a connection is there for the program to accept, or that there is none.
func (l *listener) waits(e *Engine, some bool) {
	switch {
	case !some:
		l.stalled = 0
	case l.stalled == 0:
		l.stalled, l.patience = nanotime(), sharePause
		e.shareAt = earlier(e.shareAt, l.stalled+l.patience)
	}
}

// share passes on what waits for too long.
func (e *Engine) share(now int64) {
	if e.shareAt == 0 || now < e.shareAt {
		return
	}
	e.shareAt = 0
	for _, l := range e.listens {
		if l.stalled == 0 {
			continue
		}
		if now >= l.stalled+l.patience {
			e.passRest(now, l)
			if l.stalled == 0 {
				continue
			}
			l.stalled, l.patience = nanotime(), min(2*l.patience, shareLongest)
		}
		e.shareAt = earlier(e.shareAt, l.stalled+l.patience)
	}
}

// passRest passes on all that waits, if another process has the listener. What cannot be, stays.
func (e *Engine) passRest(now int64, l *listener) {
	var asked proto.Asked
	if _, err := e.call(now, proto.OpOrphan, proto.Orphan{Cookie: l.cookie, Ask: true}, nil, &asked); err != nil || !asked.Others {
		return
	}
	if err := e.move(now, e.waiting(l), e.settle); err != nil { // into l.queue
		e.debug("%v: some wait on: %v", l.local, err)
	}
	for len(l.queue) > 0 {
		fd := l.queue[0]
		if err := e.passKernel(now, l, fd); err != nil {
			e.debug("%v: connection not passed on: %v", l.local, err)
			break
		}
		_ = unix.Close(fd)
		l.queue = l.queue[1:]
	}
	e.update(l.h)
	if asked.Bare && !l.used && len(l.queue) == 0 {
		e.info("%v: processes without an engine accept here: the kernel serves", l.local)
		e.moved(l.h, -1) // C closes it
	}
}

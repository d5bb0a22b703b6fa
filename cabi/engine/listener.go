package engine

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/usock"
)

// listener is a kernel listener that the stack serves as well.
type listener struct {
	h       int32 // -1: the program has closed it
	sock    *usock.Socket
	kfd     int // our duplicate, shown to a later broker; -1 once closed
	local   netip.AddrPort
	six     bool
	cookie  uint64 // the broker's name for it
	queue   []int  // kernel sockets for its accept queue: hand-overs, other processes' orphans
	arrived uint32 // how many ever came into queue

	closedAt int64
	doomed   int // connections that waited when the program closed it: nobody of this process may accept them

	used              bool  // the program has accepted from it
	stalled, patience int64 // since when connections wait, with no accept (0: none do), and how long until they are passed on
}

// push puts a kernel socket into the accept queue.
func (e *Engine) push(l *listener, fd int) {
	_ = unix.SetNonblock(fd, true)
	l.queue = append(l.queue, fd)
	l.arrived++
	if l.h >= 0 {
		e.update(l.h)
	}
}

// Listen is sl_listen.
func (e *Engine) Listen(now int64, kfd, backlog int) (int, error) {
	sa, err := unix.Getsockname(kfd)
	if err != nil {
		return 0, fmt.Errorf("address of the listener: %w", err)
	}
	l := &listener{h: -1, kfd: -1}
	if l.local, l.six = addrPort(sa); !l.local.IsValid() {
		return 0, fmt.Errorf("listener of another family: %w", unix.EAFNOSUPPORT)
	}
	var g proto.Grant
	fds, err := e.call(now, proto.OpListen, proto.Listen{Devices: e.devices}, []int{kfd}, &g)
	if err != nil {
		return 0, err
	}
	l.cookie = g.Cookie
	if err := e.serve(now, l, kfd, backlog, &g, fds); err != nil {
		e.closeListener(now, l)
		return 0, err
	}
	e.ready(now, l.cookie)
	e.info("%v: %d queues", l.local, len(e.plane.lanes))
	return int(l.h), nil
}

// serve sets up what was granted. On an error the listener is closed by the caller.
func (e *Engine) serve(now int64, l *listener, kfd, backlog int, g *proto.Grant, fds []int) error {
	dup, err := unix.FcntlInt(uintptr(kfd), unix.F_DUPFD_CLOEXEC, e.boot.FDMin)
	if err != nil {
		closeAll(fds)
		return fmt.Errorf("duplicate listener: %w", err)
	}
	l.kfd = dup
	e.sh.own(dup)
	if err := e.granted(now, g, fds); err != nil {
		return err
	}
	at := l.local
	if l.six && at.Addr().Is4() { // a listener of AF_INET6 bound to ::ffff:a.b.c.d
		at = netip.AddrPortFrom(netip.AddrFrom16(at.Addr().As16()), at.Port())
	}
	if l.sock, err = e.plane.stack.Listen(now, at, backlog); err != nil {
		return fmt.Errorf("listen at %v: %w", at, err)
	}
	copyOptions(kfd, func(level, name int, val []byte) { _ = l.sock.SetOption(now, level, name, val) })
	if l.h = e.bind(l.sock); l.h < 0 {
		return fmt.Errorf("listen: %w", unix.ENFILE)
	}
	e.tab.objects[l.h].lis = l
	e.listens = append(e.listens, l)
	return nil
}

// listeners are those that the program has, and what is left of those that it had.
func (e *Engine) listeners() iter.Seq[*listener] {
	return func(yield func(*listener) bool) {
		for _, all := range [...][]*listener{e.listens, e.listened} {
			for _, l := range all {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// readyPause is how long after a listener the broker is told: programs put several into their engine in a row, and packets should not
// come between them, when nobody polls.
const readyPause = int64(2 * time.Millisecond)

// ready notes that the broker is to be told that packets may come: for a listener (cookie not 0), and on all queues.
func (e *Engine) ready(now int64, cookie uint64) {
	if cookie != 0 {
		e.unready = append(e.unready, cookie)
	}
	e.readyAt = now + readyPause
}

// tellReady tells it when it is time.
func (e *Engine) tellReady(now int64) {
	if e.readyAt == 0 || now < e.readyAt || e.plane == nil {
		return
	}
	e.readyAt = 0
	r := e.readyLanes()
	for _, c := range e.unready[:max(len(e.unready)-1, 0)] {
		e.tell(now, proto.OpReady, proto.Ready{Cookie: c})
	}
	if n := len(e.unready); n > 0 {
		r.Cookie = e.unready[n-1]
	}
	e.unready = e.unready[:0]
	e.tell(now, proto.OpReady, r)
}

func (e *Engine) readyLanes() (r proto.Ready) {
	for _, l := range e.plane.lanes {
		r.Queues = append(r.Queues, l.ref)
	}
	return r
}

// readyNow has packets come before anything else happens: an answer to a SYN that found the queue closed would meet the kernel, which
// has no such connection and resets it; the SYN would be repeated a second later.
func (e *Engine) readyNow(now int64) error {
	_, err := e.call(now, proto.OpReady, e.readyLanes(), nil, nil)
	return err
}

// closeListener ends a listener for the program. The stack's listener goes on: the broker asks for the queues back, and until
// they are given up handshakes under way are finished for the other owners of the kernel listener. All of that is a later turn's work:
// what the program does next, such as closing idle connections, must not wait for it. But for the broker's word that no further SYN comes here:
// another process, which was given the listener, may have it by the kernel alone, and could not accept what is made of it.
func (e *Engine) closeListener(now int64, l *listener) {
	if l.h >= 0 {
		e.unbind(l.h)
		l.h = -1
		e.listens = slices.DeleteFunc(e.listens, func(o *listener) bool { return o == l })
		e.listened = append(e.listened, l)
	}
	l.closedAt = now
	if l.sock != nil && l.kfd >= 0 {
		l.doomed = l.sock.Listener().Waiting()
		e.plane.stack.Retire(l.sock)
	}
	e.left(now, l)
	e.nextLook = now
}

// left tells the broker, once, that the program listens no more.
func (e *Engine) left(now int64, l *listener) {
	if l.kfd < 0 {
		return
	}
	e.drop(l.kfd)
	l.kfd = -1
	if _, err := e.call(now, proto.OpUnlisten, proto.Unlisten{Cookie: l.cookie, Stays: !e.stopped}, nil, nil); err != nil {
		e.debug("%v", err)
	}
}

// passOn gives connections that nobody here will accept to the other owners of their listener. Between two brokers they wait.
func (e *Engine) passOn(now int64) {
	if e.orphaned(now) {
		return
	}
	for _, l := range e.listened {
		e.passQueue(now, l)
		if l.sock == nil || l.sock.Listener().Waiting() == 0 {
			continue
		}
		for i, s := range e.waiting(l) {
			if i < l.doomed || !e.succeeds(l, s) {
				e.orphan(now, l, s)
			}
		}
		l.doomed = 0
	}
}

// passQueue passes on the kernel sockets in a closed listener's queue.
func (e *Engine) passQueue(now int64, l *listener) {
	for len(l.queue) > 0 {
		fd := l.queue[0]
		err := e.passKernel(now, l, fd)
		if err != nil && e.orphaned(now) { // it waits for the next broker
			return
		}
		l.queue = l.queue[1:]
		if err != nil {
			e.debug("connection not passed on: %v", err)
			abort(fd)
			continue
		}
		_ = unix.Close(fd)
	}
}

// succeeds gives a connection that came when its listener was closed already, and the broker had not said so to everybody yet, to
// the one that the program has at its place by now. In the kernel no time passes between these two.
func (e *Engine) succeeds(l *listener, s *usock.Socket) bool {
	o := e.successor(l)
	return o != nil && !o.sock.Listener().Full() && l.sock.Listener().Take(s.Conn()) && o.sock.Listener().Push(s.Conn())
}

// successor is the open listener at the very place of a closed one; nil: there is none.
func (e *Engine) successor(l *listener) *listener {
	i := slices.IndexFunc(e.listens, func(o *listener) bool { return o.local == l.local && o.six == l.six })
	if i < 0 {
		return nil
	}
	return e.listens[i]
}

// lateSYN is how long a closed listener is kept for what the broker sent here before it was told.
const lateSYN = int64(time.Second)

// forgetClosed ends closed listeners of which nothing is left and to which nothing comes any more, or whose place another has taken: a program may
// have thousands in turn. The last ones, with no other open, are release's.
func (e *Engine) forgetClosed(now int64) {
	if len(e.listens) == 0 {
		return
	}
	e.listened = slices.DeleteFunc(e.listened, func(l *listener) bool {
		if late := now-l.closedAt < lateSYN || e.orphaned(now); len(l.queue) > 0 || late && e.successor(l) == nil {
			return false
		}
		if q := l.sock.Listener(); q.Waiting()+q.HalfOpens() > 0 {
			return false
		}
		l.sock.Close(now)
		return true
	})
}

// waiting are the established connections of l that were not accepted.
func (e *Engine) waiting(l *listener) (all []*usock.Socket) {
	e.plane.stack.Waiting(l.sock, func(s *usock.Socket) { all = append(all, s) })
	return all
}

// outlivesBroker tells whether there are connections for which the next broker is waited for: it takes them to the kernel, or to who accepts them.
func (e *Engine) outlivesBroker(now int64) (some bool) {
	if e.link.client != nil || e.link.lostAt == 0 || e.stopped {
		return false
	}
	for l := range e.listeners() {
		some = some || len(l.queue) > 0
	}
	e.plane.stack.Each(func(s *usock.Socket) {
		some = some || s.Conn() != nil && movable(s) && (s.Accepted() || e.orphaned(now))
	})
	return some
}

// release ends what is left when the last listener, flow and queue are gone. Memory and stack stay: the broker gives them once.
func (e *Engine) release(now int64) {
	p := e.plane
	if p == nil || len(e.listened) == 0 || len(e.listens) > 0 || len(e.flows) > 0 || len(e.ports.blocks) > 0 || (len(p.lanes) > 0 && e.link.client != nil) ||
		e.outlivesBroker(now) {
		return
	}
	e.moveAll(now, func(*usock.Socket) bool { return true })
	e.passOn(now)
	for _, l := range e.listened {
		if l.sock != nil {
			l.sock.Close(now)
		}
	}
	e.listened = nil
	for len(p.lanes) > 0 {
		e.removeLane(p, p.lanes[0])
	}
	e.loseAll(now)
	e.debug("gave everything back")
}

package engine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// parcel is connections on their way to the kernel: their states, and a memfd with their queues' bytes, if there are any.
type parcel struct {
	socks []*usock.Socket
	conns []proto.Queued
	fd    int // -1: none yet
	low   int // what its number is at least
	size  int64
}

// fds is the memfd, if there is anything in it.
func (p *parcel) fds() []int {
	if p.fd < 0 {
		return nil
	}
	return []int{p.fd}
}

func (p *parcel) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
	}
}

// add freezes a connection and packs it.
func (p *parcel) add(now int64, s *usock.Socket) error {
	snap, err := s.Freeze(now)
	if err != nil {
		return err
	}
	q := proto.Queued{State: stateOf(s, snap)}
	err = errors.Join(
		p.write(&q.RecvOff, &q.RecvLen, snap.Unread),
		p.write(&q.SendOff, &q.SendLen, snap.Unacked, snap.Unsent),
	)
	if err != nil {
		s.Thaw(now)
		return err
	}
	p.socks, p.conns = append(p.socks, s), append(p.conns, q)
	return nil
}

// write adds a queue, which may lie in several parts, and tells where it is.
func (p *parcel) write(off *int64, n *int, parts ...[]byte) error {
	*off, *n = p.size, 0
	for _, b := range parts {
		*n += len(b)
		if err := p.append(b); err != nil {
			return err
		}
	}
	return nil
}

func (p *parcel) append(b []byte) error {
	if p.fd < 0 && len(b) > 0 {
		fd, err := unix.MemfdCreate("sluice-move", unix.MFD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("memory for connections to move: %w", err)
		}
		p.fd = proto.Raise(fd, p.low)
	}
	for len(b) > 0 {
		k, err := unix.Pwrite(p.fd, b, p.size)
		if err != nil {
			return fmt.Errorf("pack connection: %w", err)
		}
		b, p.size = b[k:], p.size+int64(k)
	}
	return nil
}

// thaw gives the frozen connections back to the stack.
func (p *parcel) thaw(now int64) {
	for _, s := range p.socks {
		s.Thaw(now)
	}
}

// receiver is told of a connection's kernel socket, and of its listener if it was not accepted.
type receiver func(s *usock.Socket, l *listener, fd int)

// move hands connections to the kernel, many at a time. done is told each one's kernel socket; a connection the kernel does not take
// goes on here, and the first reason is returned.
func (e *Engine) move(now int64, socks []*usock.Socket, done receiver) (first error) {
	for len(socks) > 0 {
		n := min(len(socks), proto.MaxHandover)
		if err := e.moveSome(now, socks[:n], done); err != nil && first == nil {
			first = err
		}
		socks = socks[n:]
	}
	return first
}

func (e *Engine) moveSome(now int64, socks []*usock.Socket, done receiver) error {
	if e.link.client == nil {
		return errNoBroker
	}
	p := &parcel{fd: -1, low: e.boot.FDMin}
	defer p.close()
	var first error
	for _, s := range socks {
		e.revoke(s.Tag)
		if err := p.add(now, s); err != nil && first == nil {
			first = err
		}
	}
	if len(p.socks) == 0 {
		return first
	}
	fds, errs, err := e.toKernel(now, p, func(i, fd int) {
		_ = unix.SetNonblock(fd, true)
		giveAlong(fd, p.socks[i])
	})
	now = nanotime() // that took a while
	e.littered(int(p.size))
	if err != nil {
		p.thaw(now)
		return err
	}
	for i, s := range p.socks {
		if fds[i] < 0 {
			s.Thaw(now)
			if first == nil {
				first = errs[i]
			}
			continue
		}
		l := e.unqueue(s)
		if f, ok := s.Ref.(*flow); ok {
			f.moved = true
		}
		e.note(now, s, proto.EventHandedOver)
		s.Forget(now)
		e.sh.Handovers++
		done(s, l, fds[i])
	}
	return first
}

// settle puts a connection's kernel socket where the program finds it: under its handle, in the accept queue, or nowhere if
// the program has closed it (the kernel then finishes it).
func (e *Engine) settle(s *usock.Socket, l *listener, fd int) {
	switch {
	case s.Tag >= 0:
		h := s.Tag
		if f := e.tab.objects[h].out; f != nil && f.port == nil {
			e.dropFlow(f)
		}
		e.moved(h, fd)
	case l != nil && l.h >= 0:
		e.push(l, fd)
	case l != nil: // which the program has closed
		e.push(l, fd)
		e.passQueue(nanotime(), l)
	default:
		_ = unix.Close(fd)
	}
}

// unqueue takes a connection that was not accepted out of its listener's queue, since it goes another way, and tells whose it was.
func (e *Engine) unqueue(s *usock.Socket) *listener {
	if s.Accepted() {
		return nil
	}
	for l := range e.listeners() {
		if l.sock != nil && l.sock.Listener().Take(s.Conn()) {
			return l
		}
	}
	return nil
}

// moveAll hands over every connection that which chooses; those in states that have no place in the kernel stay.
func (e *Engine) moveAll(now int64, which func(*usock.Socket) bool) {
	var socks []*usock.Socket
	e.plane.stack.Each(func(s *usock.Socket) {
		if s.Conn() != nil && movable(s) && which(s) {
			socks = append(socks, s)
		}
	})
	if err := e.move(now, socks, e.settle); err != nil {
		e.debug("hand-over: %v", err)
	}
}

// movable tells whether the kernel can be given a connection in this state.
func movable(s *usock.Socket) bool {
	switch s.State() {
	case tcp.Established, tcp.CloseWait, tcp.FinWait1, tcp.FinWait2, tcp.LastAck, tcp.Closing:
	default:
		return false
	}
	return s.Accepted() || s.State() == tcp.Established || s.State() == tcp.CloseWait
}

// ended tells whether both ends of a connection have finished, or it failed.
func ended(s *usock.Socket) bool {
	return s.Accepted() && (s.State() == tcp.Closed || s.State() == tcp.TimeWait)
}

// orphan passes an established connection on to another owner of its listener; one that nobody takes is reset. If the broker dies meanwhile it waits.
func (e *Engine) orphan(now int64, l *listener, s *usock.Socket) {
	if err := e.move(now, []*usock.Socket{s}, e.settle); err != nil && !e.orphaned(now) {
		e.debug("connection of %v not passed on: %v", s.Remote(), err)
		e.unqueue(s)
		s.Abort(nanotime())
	}
}

// Handover is sl_handover.
func (e *Engine) Handover(now int64, h int32) (int, error) {
	if e.plane != nil {
		e.plane.stack.Poll(now, budget) // what has come by now goes along: the peer would have to send it again, 200 ms later
	}
	o := e.tab.at(h)
	switch {
	case o == nil:
		return 0, unix.EBADF
	case o.sock == nil:
		return Moved, nil
	case o.lis != nil:
		return 0, unix.EINVAL
	case o.sock.State() == tcp.SynSent || o.sock.State() == tcp.SynReceived:
		return 0, unix.EBUSY
	case o.sock.State() == tcp.Closed && o.sock.Conn().Established():
		return e.leaveRemains(now, o.sock)
	}
	got := -1
	err := e.move(now, []*usock.Socket{o.sock}, func(s *usock.Socket, l *listener, fd int) {
		e.settle(s, l, fd)
		got = fd
	})
	if got < 0 {
		e.refuse(fmt.Sprintf("hand-over of a connection: %v", err))
		return 0, unix.EOPNOTSUPP
	}
	return got, nil
}

// loseAll tells the owners of what is still open that it is gone. What has ended stays: it needs no packets, and its program may not
// have read the last of it.
func (e *Engine) loseAll(now int64) {
	for h := range e.tab.objects {
		if o := e.tab.at(int32(h)); o != nil && o.sock != nil && !ended(o.sock) {
			o.sock.Tag = -1
			o.sock.Abort(now)
			e.moved(int32(h), -1)
		}
	}
}

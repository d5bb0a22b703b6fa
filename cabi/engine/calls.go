package engine

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/routes"
	"github.com/sluice-net/sluice/ustack/usock"
)

// guard is around every call: the lock, the clock, and nothing of a fault reaches the program. What C did before the call is over then.
func (e *Engine) guard(dead int, call func(now int64) int) int {
	return e.enter(dead, true, call)
}

// enter is guard. settled false is for the calls that move octets and packets: what C did before them leaves with what they send.
func (e *Engine) enter(dead int, settled bool, call func(now int64) int) (ret int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sh.Dead.Load() != 0 {
		return dead
	}
	e.lockPlain()
	defer e.sh.PlainLock.Store(0)
	defer func() {
		if r := recover(); r != nil {
			e.fault(r)
			ret = dead
		}
	}()
	now := nanotime()
	e.sh.Crossings++
	e.plain.granted = -1
	if e.plain.caught = e.sh.PlainUsed.Load() != 0; e.plain.caught {
		e.catchUp(now)
		if settled {
			e.finish(now)
		}
	}
	ret = call(now)
	e.finish(now)
	e.leave(now)
	return ret
}

// finish does what was left to be finished at once for several connections.
func (e *Engine) finish(now int64) {
	if e.plane != nil {
		e.plane.stack.Settle(now)
	}
}

// conn finds a handle's socket. ok is false when ret is the call's result.
func (e *Engine) conn(h int32) (s *usock.Socket, ret int) {
	o := e.tab.at(h)
	if o == nil {
		return nil, -int(unix.EBADF)
	}
	if o.sock == nil {
		return nil, Moved
	}
	return o.sock, 0
}

// kernelOr makes SL_KERNEL of an error: the kernel will word a failure as the program expects it. The first one is said to everybody,
// as it most likely is the reason of those that follow (a program's other listeners, attempts later on); what can't be otherwise is not.
func (e *Engine) kernelOr(n int, err error) int {
	switch {
	case err == nil:
		return n
	case err == unix.EADDRNOTAVAIL: // final: the kernel, which does not know of our connections, would allow it
		return result(0, err)
	case e.refused, errors.Is(err, errGoing), errors.Is(err, errWaiting), errors.Is(err, routes.ErrLocal), errors.Is(err, routes.ErrNotUnicast):
		e.info("%v", err)
	default:
		e.refused = true
		e.refuse(err.Error())
	}
	return Kernel
}

// SLListen is sl_listen.
func (e *Engine) SLListen(kfd, backlog int) int {
	return e.guard(Kernel, func(now int64) int {
		if e.stopped || e.room.away {
			return Kernel
		}
		return e.kernelOr(e.Listen(now, kfd, backlog))
	})
}

// SLRelisten is sl_relisten.
func (e *Engine) SLRelisten(h int32, backlog int) int {
	return e.guard(Moved, func(int64) int {
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		if s.Listener() == nil {
			return -int(unix.EINVAL)
		}
		s.Listener().SetBacklog(backlog)
		return 0
	})
}

// SLConnect is sl_connect.
func (e *Engine) SLConnect(kfd int, sa []byte, how int) int {
	return e.guard(Kernel, func(now int64) int {
		if e.stopped || e.room.away {
			return Kernel
		}
		to, six, err := parseSockaddr(sa)
		if err != nil {
			return result(0, err)
		}
		h, err := e.Connect(now, target{kfd, to, six, how&Fresh != 0, how&Chosen != 0, how&Blocks != 0})
		if err == nil && e.tab.objects[h].sock.Conn().Deferred() {
			h |= Deferred
		}
		return e.kernelOr(h, err)
	})
}

// SLConnectData is sl_connect_data; *sent is how much of data the SYN took.
func (e *Engine) SLConnectData(kfd int, sa []byte, data [][]byte, sent *int) int {
	return e.guard(Kernel, func(now int64) int {
		if e.stopped || e.room.away {
			return Kernel
		}
		to, six, err := parseSockaddr(sa)
		if err != nil {
			return result(0, err)
		}
		h, n, err := e.ConnectFast(now, kfd, to, six, data)
		*sent = n
		return e.kernelOr(h, err)
	})
}

// SLAccept is sl_accept; the peer's address is written to sa, *n octets long.
func (e *Engine) SLAccept(h int32, sa *Sockaddr, n *int) int {
	return e.guard(Moved, func(now int64) int {
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		l := e.tab.at(h).lis
		if l == nil {
			return -int(unix.EINVAL)
		}
		l.stalled, l.used = 0, true
		if len(l.queue) > 0 {
			return e.acceptKernel(l, sa, n)
		}
		c, err := s.Accept(now)
		if err != nil {
			e.update(h)
			return result(0, err)
		}
		return e.acceptOurs(now, l, c, sa, n)
	})
}

func (e *Engine) acceptKernel(l *listener, sa *Sockaddr, n *int) int {
	fd := l.queue[0]
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	e.update(l.h)
	if peer, err := unix.Getpeername(fd); err == nil {
		a, _ := addrPort(peer)
		*n = putSockaddr(sa, a, l.six)
	}
	return KernelFD | fd
}

func (e *Engine) acceptOurs(now int64, l *listener, c *usock.Socket, sa *Sockaddr, n *int) int {
	*n = putSockaddr(sa, c.Remote(), l.six)
	h := e.bind(c)
	if h < 0 {
		c.Abort(now)
		return -int(unix.ENFILE)
	}
	e.count(proto.CountAccepted)
	e.record(c)
	e.update(l.h)
	return int(h)
}

// SLRecv is sl_recv. hollow: a piece of the program's has a length and no address.
func (e *Engine) SLRecv(h int32, iov [][]byte, hollow bool, flags int, info *usock.RecvInfo, inq *int) int {
	ret := e.enter(Moved, false, func(now int64) int {
		if flags&Turn != 0 {
			e.turn(now)
		} else {
			e.overdue(now)
		}
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		if !canReceive(s, iov, flags, hollow) {
			return e.unreceived(now, h, s, flags)
		}
		if hollow && len(iov) == 0 && flags&unix.MSG_TRUNC == 0 { // there is nothing, and what it is called is told
			if flags&(unix.MSG_PEEK|unix.MSG_OOB) == 0 {
				s.PassMark()
			}
			iov, flags = [][]byte{e.scrap[:]}, flags|unix.MSG_PEEK
		}
		n, i, err := s.Recv(now, iov, flags)
		if n > 0 && s.AtMark() {
			i.Flags |= AtMark
		}
		*info, *inq = i, s.InqHint()
		e.show(h, s)
		return result(n, err)
	})
	if flags&Turn != 0 {
		e.tick()
	}
	return ret
}

// SLSend is sl_send.
func (e *Engine) SLSend(h int32, iov [][]byte, hollow bool, flags int) int {
	return e.enter(Moved, false, func(now int64) int {
		e.overdue(now)
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		var n int
		var err error
		if flags&(Staged|Corked) != 0 && len(iov) == 1 { // our own memory
			n, err = s.SendStaged(now, iov[0], flags&Corked != 0)
			e.finish(now)
		} else {
			there, ok := canSend(iov)
			if !ok || hollow && len(there) == 0 {
				return e.unsent(now, h, s, flags)
			}
			n, err = s.Send(now, there, flags)
		}
		e.show(h, s)
		return result(n, err)
	})
}

// SLShutdown is sl_shutdown.
func (e *Engine) SLShutdown(h int32, how int) int {
	return e.guard(Moved, func(now int64) int {
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		e.revoke(h)
		err := s.Shutdown(now, how)
		e.update(h)
		return result(0, err)
	})
}

// SLClose is sl_close.
func (e *Engine) SLClose(h int32) int {
	return e.guard(0, func(now int64) int {
		o := e.tab.at(h)
		if o == nil {
			return -int(unix.EBADF)
		}
		s, l := o.sock, o.lis
		if l != nil {
			e.closeListener(now, l)
			return 0
		}
		if s != nil { // who closes after the peer has no TIME-WAIT, and who left something unread resets
			e.plane.stack.Poll(now, budget)
		}
		e.unbind(h)
		if s == nil {
			if v := e.sh.Words[h].Moved.Load(); v != 0 && v != Gone {
				return KernelFD | int(v-1)
			}
			return 0
		}
		s.Close(now)
		e.dropEnded() // a port that the program bound is free by the time that close returns
		return 0
	})
}

// SLSetOption is sl_setsockopt.
func (e *Engine) SLSetOption(h int32, level, name int, val []byte) int {
	return e.guard(Moved, func(now int64) int {
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		if kernelsOwn(level, name) {
			return -int(unix.ENOPROTOOPT)
		}
		had := e.revoke(h) // what packets look like may change
		var err error
		if level == unix.SOL_SOCKET && name == unix.SO_ERROR && len(val) == 4 {
			s.KeepError(unix.Errno(binary.NativeEndian.Uint32(val)))
		} else {
			err = s.SetOption(now, level, name, val)
		}
		e.update(h)
		if had {
			e.grant(h, s)
		}
		return result(0, err)
	})
}

// SLOption is sl_getsockopt: the result is the value's length.
func (e *Engine) SLOption(h int32, level, name int, out []byte) int {
	return e.guard(Moved, func(now int64) int {
		e.overdue(now)
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		if level == unix.SOL_SOCKET && name == unix.SO_ERROR {
			n := copy(out, errorValue(s.TakeError()))
			e.update(h)
			return n
		}
		if kernelsOwn(level, name) {
			return -int(unix.ENOPROTOOPT)
		}
		return result(s.Option(now, level, name, out))
	})
}

func errorValue(err error) []byte {
	v := uint32(errno(err))
	return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
}

// SLName is sl_name: the result is the address's length.
func (e *Engine) SLName(h int32, peer bool, sa *Sockaddr) int {
	return e.guard(Moved, func(int64) int {
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		var a netip.AddrPort
		six := s.V6()
		if l := e.tab.at(h).lis; l != nil {
			a, six = l.local, l.six
		} else {
			a = s.Local()
		}
		if peer {
			if a = s.Remote(); !a.IsValid() || !connected(s) {
				return -int(unix.ENOTCONN)
			}
		}
		return putSockaddr(sa, a, six)
	})
}

// SLIoctl is sl_ioctl.
func (e *Engine) SLIoctl(h int32, req uint, val *int) int {
	return e.guard(Moved, func(now int64) int {
		e.overdue(now)
		s, ret := e.conn(h)
		if s == nil {
			return ret
		}
		if s.Listener() != nil {
			return -int(unix.EINVAL)
		}
		switch req {
		case unix.SIOCINQ:
			*val = s.InQ()
		case unix.SIOCOUTQ:
			*val = s.OutQ()
		case siocOutQNSD:
			*val = s.OutQNSD()
		case siocAtMark:
			*val = 0
			if s.AtMark() {
				*val = 1
			}
		default:
			return -int(unix.EINVAL)
		}
		return 0
	})
}

// SLPoll is sl_poll.
func (e *Engine) SLPoll(waits bool) int {
	n := e.enter(0, false, func(now int64) int {
		if waits && e.plane != nil {
			e.plane.stack.Waits()
		}
		return e.turn(now)
	})
	e.tick()
	return n
}

// SLHandover is sl_handover.
func (e *Engine) SLHandover(h int32) int {
	return e.guard(Moved, func(now int64) int {
		fd, err := e.Handover(now, h)
		if fd == Moved {
			return Moved
		}
		return result(fd, err)
	})
}

// SLStop is sl_stop.
func (e *Engine) SLStop() int {
	return e.guard(0, func(now int64) int {
		e.Stop(now)
		return 0
	})
}

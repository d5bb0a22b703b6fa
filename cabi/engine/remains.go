package engine

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// remainsWait is how long, in ms, the kernel may take for packets from a host to itself, which it moves at once.
const remainsWait = 100

// remains makes the kernel socket that stands for a connection that has ended: it has what was not read, the error that was not told, and no
// peer. The kernel lets nobody make one in that state, so a connection of the host to itself is brought there: its other end writes what
// was not read and resets it. Its port is not the connection's.
func (e *Engine) remains(s *usock.Socket) (fd int, err error) {
	unread := make([]byte, s.Ahead())
	if len(unread) > 0 { // else it would take the error
		if n, _, err := s.Recv(nanotime(), [][]byte{unread}, unix.MSG_PEEK); n != len(unread) {
			return -1, errors.Join(err, unix.EOPNOTSUPP)
		}
	}
	fd, other, err := e.pair(plain(s.Local()).Addr(), s.V6())
	if err != nil {
		return -1, err
	}
	if !e.fed(fd, other, unread) {
		closeAll([]int{fd, other})
		return -1, unix.ENOBUFS
	}
	var st repair.State
	optionsInto(&st, s)
	st.GiveOptions(fd)
	giveAlong(fd, s)
	told := s.TakeError()
	if told == tcp.ErrPipe { // "case TCP_CLOSE_WAIT: sk->sk_err = EPIPE" tcp_reset
		_ = unix.Shutdown(other, unix.SHUT_WR)
	}
	_ = unix.SetsockoptLinger(other, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(other)
	wait(fd, unix.POLLHUP)
	if told == nil {
		_, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	}
	return fd, nil
}

// leaveRemains gives the program the kernel socket of a connection that has ended.
func (e *Engine) leaveRemains(now int64, s *usock.Socket) (fd int, err error) {
	if fd, err = e.remains(s); err != nil {
		e.debug("a connection that has ended stays: %v", err)
		return 0, unix.EOPNOTSUPP
	}
	e.settle(s, nil, fd)
	s.Tag = -1
	s.Close(now)
	return fd, nil
}

// fed writes what is to be read at fd. It is all there, or false.
func (e *Engine) fed(fd, other int, b []byte) bool {
	for rest := b; len(rest) > 0; {
		n, err := unix.Write(other, rest)
		if err != nil {
			return false
		}
		rest = rest[n:]
	}
	for range remainsWait {
		if n, err := unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil || n == len(b) {
			return err == nil
		}
		wait(fd, 0)
	}
	return false
}

// pair is a connection of one of the host's addresses to itself, both ends out of the program's way.
func (e *Engine) pair(at netip.Addr, six bool) (one, other int, err error) {
	family, name := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: at.As4()})
	if six {
		family, name = unix.AF_INET6, &unix.SockaddrInet6{Addr: at.As16()}
	}
	l, err := e.bound(family, name)
	if err != nil {
		return -1, -1, err
	}
	defer unix.Close(l)
	if one, err = e.bound(family, name); err != nil {
		return -1, -1, err
	}
	if err = unix.Listen(l, 1); err == nil {
		name, err = unix.Getsockname(l)
	}
	if err == nil {
		if err = unix.Connect(one, name); err == unix.EINPROGRESS {
			err = nil
		}
	}
	if err == nil {
		wait(l, unix.POLLIN)
		other, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		_ = unix.Connect(one, name) // now it is told that it is connected, and will not try again
	}
	if err != nil {
		_ = unix.Close(one)
		return -1, -1, err
	}
	return one, proto.Raise(other, e.boot.FDMin), nil
}

func (e *Engine) bound(family int, name unix.Sockaddr) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	fd = proto.Raise(fd, e.boot.FDMin)
	if err = unix.Bind(fd, name); err != nil {
		_ = unix.Close(fd)
	}
	return fd, err
}

// wait waits for events, no longer than remainsWait, whatever signals come; for none, a millisecond.
func wait(fd int, events int16) {
	limit := remainsWait
	if events == 0 {
		limit = 1
	}
	for end := nanotime() + int64(limit)*1e6; ; {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, limit)
		if err != unix.EINTR || nanotime() >= end {
			return
		}
	}
}

package machine

import (
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// Caller says how a call waits and where its result goes.
type Caller struct {
	Others bool          // another thread of the script lets time pass meanwhile
	Reply  func(ret int) // the result, negative for an errno; called once, maybe later
}

// file is what a descriptor stands for: a socket or an epoll set.
type file interface {
	ready() uint32 // bits of poll(2)
	close(m *Machine, c Caller)
}

func (m *Machine) install(f file) int {
	fd := m.next
	if m.conf.FD != nil {
		if fd = m.conf.FD(); fd < 0 {
			return -int(unix.EMFILE)
		}
	}
	m.next++
	m.files[fd] = f
	return fd
}

// Has tells whether a descriptor is one of the machine's.
func (m *Machine) Has(fd int) bool { return m.files[fd] != nil }

func (m *Machine) socket(fd int) (*socket, error) {
	f := m.files[fd]
	if f == nil {
		return nil, unix.EBADF
	}
	s, ok := f.(*socket)
	if !ok {
		return nil, unix.ENOTSOCK
	}
	return s, nil
}

// blocking is a call on a socket that waits until attempt gives anything but tcp.ErrAgain, unless wait is false.
func (m *Machine) blocking(c Caller, wait bool, timeout int64, attempt func() (int, error)) {
	w := &waiter{reply: c.Reply, expired: -int(unix.EAGAIN)}
	if timeout > 0 {
		w.deadline = m.now + timeout
	}
	w.attempt = func() (int, bool) {
		n, err := attempt()
		return result(n, err), err != tcp.ErrAgain || !wait
	}
	m.await(w, c.Others)
}

// Close is close(2).
func (m *Machine) Close(c Caller, fd int) {
	f := m.files[fd]
	if f == nil {
		c.Reply(-int(unix.EBADF))
		return
	}
	delete(m.files, fd)
	for _, g := range m.files {
		if e, ok := g.(*epoll); ok {
			e.forget(fd)
		}
	}
	f.close(m, c)
}

// Fcntl is fcntl(2), as far as scripts use it.
func (m *Machine) Fcntl(fd, cmd, arg int) int {
	f := m.files[fd]
	if f == nil {
		return -int(unix.EBADF)
	}
	s, ok := f.(*socket)
	switch {
	case cmd == unix.F_GETFL:
		if ok && s.nonblock {
			return unix.O_RDWR | unix.O_NONBLOCK
		}
		return unix.O_RDWR
	case cmd == unix.F_SETFL && ok:
		s.nonblock = arg&unix.O_NONBLOCK != 0
		return 0
	case cmd == unix.F_GETFD:
		return 0
	case cmd == unix.F_SETFD, cmd == unix.F_SETFL:
		return 0
	}
	return -int(unix.EINVAL)
}

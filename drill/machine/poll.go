package machine

import (
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/usock"
)

// always are the bits of poll(2) that nobody needs to ask for.
const always = usock.PollErr | usock.PollHup

// ready of a socket without connection: "if (sk->sk_shutdown == SHUTDOWN_MASK || state == TCP_CLOSE) mask |= EPOLLHUP", and
// nothing keeps it from being writable.
func (s *socket) ready() uint32 {
	if s.s == nil {
		return usock.PollHup | usock.PollOut | usock.PollWrNorm
	}
	return s.s.Ready()
}

// edges are the counts of wake-ups: of readers and of writers.
func (s *socket) edges() (in, out uint32) {
	if s.s == nil {
		return 0, 0
	}
	return s.s.EdgeIn(), s.s.EdgeOut()
}

// PollFD is struct pollfd.
type PollFD struct {
	FD              int32
	Events, Revents int16
}

// Poll is poll(2); timeout is in milliseconds, negative: none.
func (m *Machine) Poll(c Caller, fds []PollFD, timeout int) {
	w := &waiter{reply: c.Reply}
	if timeout >= 0 {
		w.deadline = m.now + int64(timeout)*1e6
	}
	w.attempt = func() (int, bool) {
		n := 0
		for i := range fds {
			p := &fds[i]
			p.Revents = 0
			if p.FD < 0 {
				continue
			}
			f := m.files[int(p.FD)]
			if f == nil {
				p.Revents = unix.POLLNVAL
			} else {
				p.Revents = int16(f.ready() & (uint32(uint16(p.Events)) | always))
			}
			if p.Revents != 0 {
				n++
			}
		}
		return n, n > 0
	}
	m.await(w, c.Others)
}

// epoll is an epoll set.
type epoll struct{ items []*interest }

// interest is one descriptor of a set.
type interest struct {
	fd      int
	s       *socket
	events  uint32
	data    uint64
	in, out uint32 // edges that were told
	fresh   bool   // added or changed since it was told
}

// EpollCreate is epoll_create(2).
func (m *Machine) EpollCreate(size int) int {
	if size <= 0 {
		return -int(unix.EINVAL)
	}
	return m.install(&epoll{})
}

// EpollCtl is epoll_ctl(2).
func (m *Machine) EpollCtl(epfd, op, fd int, events uint32, data uint64) int {
	e, ok := m.files[epfd].(*epoll)
	if m.files[epfd] == nil || m.files[fd] == nil {
		return -int(unix.EBADF)
	}
	s, isSocket := m.files[fd].(*socket)
	if !ok || !isSocket {
		return -int(unix.EINVAL)
	}
	i := e.find(fd)
	switch {
	case op == unix.EPOLL_CTL_ADD && i != nil:
		return -int(unix.EEXIST)
	case op != unix.EPOLL_CTL_ADD && i == nil:
		return -int(unix.ENOENT)
	case op == unix.EPOLL_CTL_ADD:
		i = &interest{fd: fd, s: s}
		e.items = append(e.items, i)
	case op == unix.EPOLL_CTL_DEL:
		e.forget(fd)
		return 0
	case op != unix.EPOLL_CTL_MOD:
		return -int(unix.EINVAL)
	}
	i.events, i.data, i.fresh = events, data, true
	return 0
}

// EpollEvent is what epoll_wait(2) tells.
type EpollEvent struct {
	Events uint32
	Data   uint64
}

// EpollWait is epoll_wait(2): events is told to tell, at most limit of them.
func (m *Machine) EpollWait(c Caller, epfd, limit, timeout int, tell func(i int, ev EpollEvent)) {
	e, ok := m.files[epfd].(*epoll)
	if !ok || limit <= 0 {
		ret := -int(unix.EINVAL)
		if m.files[epfd] == nil {
			ret = -int(unix.EBADF)
		}
		c.Reply(ret)
		return
	}
	w := &waiter{reply: c.Reply}
	if timeout >= 0 {
		w.deadline = m.now + int64(timeout)*1e6
	}
	w.attempt = func() (int, bool) {
		n := 0
		for _, i := range e.items {
			if n == limit {
				break
			}
			if r := i.take(); r != 0 {
				tell(n, EpollEvent{r, i.data})
				n++
			}
		}
		return n, n > 0
	}
	m.await(w, c.Others)
}

// take is what is to be told of a descriptor now. With EPOLLET that is only what a wake-up came for since the last time;
// with EPOLLONESHOT the descriptor is silent afterwards.
func (i *interest) take() uint32 {
	r := i.s.ready() & (i.events | always)
	if r == 0 || i.events&^(unix.EPOLLET|unix.EPOLLONESHOT|unix.EPOLLWAKEUP|unix.EPOLLEXCLUSIVE) == 0 {
		return 0
	}
	in, out := i.s.edges()
	if i.events&unix.EPOLLET != 0 && !i.fresh && in == i.in && out == i.out {
		return 0
	}
	i.in, i.out, i.fresh = in, out, false
	if i.events&unix.EPOLLONESHOT != 0 {
		i.events &= unix.EPOLLET | unix.EPOLLONESHOT
	}
	return r
}

func (e *epoll) find(fd int) *interest {
	for _, i := range e.items {
		if i.fd == fd {
			return i
		}
	}
	return nil
}

func (e *epoll) forget(fd int) {
	for n, i := range e.items {
		if i.fd == fd {
			e.items = append(e.items[:n], e.items[n+1:]...)
			return
		}
	}
}

// ready of an epoll set within another one: not served.
func (e *epoll) ready() uint32 { return 0 }

func (e *epoll) close(_ *Machine, c Caller) { c.Reply(0) }

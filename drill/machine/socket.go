package machine

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/cabi/engine"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// socket is a descriptor of socket(2).
type socket struct {
	m        *Machine
	six      bool // AF_INET6
	nonblock bool
	phase    phase
	local    netip.AddrPort // of bind(2)
	preset   *usock.Preset  // until there is a connection or a listener
	quiet    map[option]int32
	rcvTimeo int64 // ns, 0: none
	sndTimeo int64
	s        *usock.Socket // nil before connect and listen
}

// phase is what the kernel calls socket_state.
type phase int

const (
	unconnected phase = iota
	connecting        // connect(2) has not told yet how it ended
	connected
)

type option struct{ level, name int }

func (m *Machine) newSocket(six bool) *socket {
	return &socket{m: m, six: six, preset: usock.NewPreset(), quiet: map[option]int32{}}
}

// Socket is socket(2): only TCP is there.
func (m *Machine) Socket(domain, typ, proto int) int {
	m.Refresh()
	switch {
	case domain != unix.AF_INET && domain != unix.AF_INET6:
		return -int(unix.EAFNOSUPPORT)
	case typ&^(unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC) != unix.SOCK_STREAM, proto != 0 && proto != unix.IPPROTO_TCP:
		return -int(unix.EPROTONOSUPPORT)
	}
	s := m.newSocket(domain == unix.AF_INET6)
	s.nonblock = typ&unix.SOCK_NONBLOCK != 0
	return m.install(s)
}

// Bind is bind(2).
func (m *Machine) Bind(fd int, sa []byte) int {
	s, err := m.socket(fd)
	if err != nil {
		return result(0, err)
	}
	a, _, err := engine.ParseSockaddr(sa)
	if err != nil {
		return result(0, err)
	}
	if s.local.IsValid() || s.s != nil {
		return -int(unix.EINVAL)
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), m.freePort())
	}
	s.local = a
	return 0
}

func (m *Machine) freePort() uint16 {
	m.port++
	return m.port
}

// Listen is listen(2).
func (m *Machine) Listen(fd, backlog int) int {
	m.Refresh()
	s, err := m.socket(fd)
	switch {
	case err != nil:
		return result(0, err)
	case s.s != nil && s.s.Listener() != nil:
		s.s.Listener().SetBacklog(backlog)
		return 0
	case s.s != nil && s.s.State() != tcp.Closed:
		return -int(unix.EINVAL)
	}
	at := s.local
	if !at.IsValid() {
		at = netip.AddrPortFrom(netip.IPv4Unspecified(), m.freePort())
	}
	if a := at.Addr(); s.six && a.Is4() {
		if a.IsUnspecified() {
			a = netip.IPv6Unspecified()
		} else {
			a = netip.AddrFrom16(a.As16())
		}
		at = netip.AddrPortFrom(a, at.Port())
	}
	l, err := m.stack.Listen(m.now, at, backlog)
	if err != nil {
		return result(0, err)
	}
	l.Listener().SetOptions(&s.preset.TCP)
	*l.IP() = s.preset.IP
	s.s = l
	return 0
}

// Accept is accept(2); addr, if not nil, is told the peer's address.
func (m *Machine) Accept(c Caller, fd int, addr func(sa []byte)) {
	m.Refresh()
	l, err := m.socket(fd)
	if err != nil || l.s == nil || l.s.Listener() == nil {
		if err == nil {
			err = unix.EINVAL
		}
		c.Reply(result(0, err))
		return
	}
	m.blocking(c, !l.nonblock, l.rcvTimeo, func() (int, error) {
		if l.s == nil || l.s.Orphan() {
			return 0, unix.EINVAL
		}
		u, err := l.s.Accept(m.now)
		if err != nil {
			return 0, err
		}
		s := m.newSocket(l.six)
		s.s, s.phase, s.preset = u, connected, nil
		for k, v := range l.quiet {
			s.quiet[k] = v
		}
		if addr != nil {
			var sa engine.Sockaddr
			n := engine.PutSockaddr(&sa, u.Remote(), l.six)
			addr(sa[:n])
		}
		fd := m.install(s)
		return fd, nil
	})
}

// Connect is connect(2), in the order of __inet_stream_connect.
func (m *Machine) Connect(c Caller, fd int, sa []byte) {
	m.Refresh()
	s, err := m.socket(fd)
	if err != nil {
		c.Reply(result(0, err))
		return
	}
	if len(sa) >= 2 && sa[0] == unix.AF_UNSPEC && sa[1] == 0 {
		s.disconnect()
		c.Reply(0)
		return
	}
	var pending error = tcp.ErrAlready
	switch {
	case s.s != nil && s.phase == connecting && s.s.Listener() == nil && s.s.Conn().Deferred():
		c.Reply(-int(unix.EISCONN))
		return
	case s.phase == connected, s.s != nil && s.s.Listener() != nil:
		c.Reply(-int(unix.EISCONN))
		return
	case s.phase == unconnected:
		if err := s.dial(sa); err != nil {
			c.Reply(result(0, err))
			return
		}
		if pending = unix.EINPROGRESS; s.s.Conn().Deferred() { // TCP_FASTOPEN_CONNECT: the first write sends the SYN
			c.Reply(0)
			return
		}
	}
	m.blocking(c, !s.nonblock, s.sndTimeo, func() (int, error) {
		switch {
		case !s.s.Conn().Connected() && s.nonblock:
			return 0, pending
		case !s.s.Conn().Connected():
			return 0, tcp.ErrAgain
		}
		return 0, s.connectResult()
	})
}

// connectResult tells once how an attempt ended.
func (s *socket) connectResult() error {
	if !s.s.Conn().Closed() || s.s.Remote().IsValid() && s.s.InQ() > 0 {
		s.phase = connected
		return nil
	}
	s.phase = unconnected
	if err := s.s.TakeError(); err != nil {
		return err
	}
	return tcp.ErrAborted
}

func (s *socket) dial(sa []byte) error {
	local, to, err := s.ends(sa)
	if err != nil {
		return err
	}
	u, err := s.m.stack.ConnectWith(s.m.now, local, to, s.preset)
	if err != nil {
		return err
	}
	s.s, s.phase = u, connecting
	return nil
}

// ends are the addresses of a connection to be.
func (s *socket) ends(sa []byte) (local, to netip.AddrPort, err error) {
	to, six, err := engine.ParseSockaddr(sa)
	if err != nil {
		return local, to, err
	}
	if six && !s.six {
		return local, to, unix.EAFNOSUPPORT
	}
	if local = s.local; !local.IsValid() {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), s.m.freePort())
	}
	if s.preset == nil { // connects again after a failure
		s.preset = usock.NewPreset()
	}
	if s.six && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	return local, to, nil
}

// disconnect is connect(2) to AF_UNSPEC.
func (s *socket) disconnect() {
	if s.s != nil {
		s.s.Abort(s.m.now)
		s.s = nil
	}
	s.phase = unconnected
	if s.preset == nil {
		s.preset = usock.NewPreset()
	}
}

// Shutdown is shutdown(2).
func (m *Machine) Shutdown(fd, how int) int {
	s, err := m.socket(fd)
	if err == nil && s.s == nil {
		err = tcp.ErrNotConn
	}
	if err != nil {
		return result(0, err)
	}
	err = s.s.Shutdown(m.now, how)
	m.turn()
	return result(0, err)
}

func (s *socket) close(m *Machine, c Caller) {
	if s.s == nil {
		c.Reply(0)
		return
	}
	wait := s.s.Close(m.now)
	m.turn()
	if wait == 0 || s.nonblock {
		c.Reply(0)
		return
	}
	w := &waiter{reply: c.Reply, deadline: m.now + min(wait, 1<<60)}
	w.attempt = func() (int, bool) { return 0, !s.s.Conn().Lingering() }
	m.await(w, c.Others)
}

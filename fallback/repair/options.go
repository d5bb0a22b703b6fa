package repair

import "golang.org/x/sys/unix"

// option is one that a program may have set and that moves along.
type option struct {
	level, name int
	field       func(s *State) *int
}

var options = []option{
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, func(s *State) *int { return &s.KeepIdle }},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, func(s *State) *int { return &s.KeepIntvl }},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, func(s *State) *int { return &s.KeepCnt }},
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, func(s *State) *int { return &s.UserTimeout }},
}

type flag struct {
	level, name int
	field       func(s *State) *bool
}

var flags = []flag{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, func(s *State) *bool { return &s.NoDelay }},
	{unix.IPPROTO_TCP, unix.TCP_CORK, func(s *State) *bool { return &s.Cork }},
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, func(s *State) *bool { return &s.KeepAlive }},
}

// GiveOptions gives the socket the program's options; one that the kernel refuses stays at its default.
func (s *State) GiveOptions(fd int) {
	for _, o := range options {
		if v := *o.field(s); v != 0 {
			_ = unix.SetsockoptInt(fd, o.level, o.name, v)
		}
	}
	for _, f := range flags {
		if *f.field(s) {
			_ = unix.SetsockoptInt(fd, f.level, f.name, 1)
		}
	}
	if s.TOS != 0 {
		level, name := s.tos()
		_ = unix.SetsockoptInt(fd, level, name, s.TOS)
	}
	if s.Linger > 0 {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(s.Linger - 1)})
	}
	s.setBuffers(fd)
}

// setBuffers: sizes the program set are restored; else the kernel's own growth goes on, which setting any would have ended.
func (s *State) setBuffers(fd int) {
	if s.rcvbuf <= 0 && s.sndbuf <= 0 && s.RcvBuf <= 0 && s.SndBuf <= 0 {
		return
	}
	lock := 0
	// The room for filling would let both queues grow with each move. What the peer was told that it may send must fit.
	if s.rcvbuf > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, max(s.rcvbuf/2, s.promised()))
	}
	if s.sndbuf > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, s.sndbuf/2)
	}
	if s.SndBuf > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, s.SndBuf)
		lock |= 1 // SOCK_SNDBUF_LOCK
	}
	if s.RcvBuf > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, s.RcvBuf)
		lock |= 2 // SOCK_RCVBUF_LOCK
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, lock)
}

// promised is how many bytes there may be in the receive queue before the program reads: those that are there, and what is left of the window, which was
// rounded up to what its scale can tell.
func (s *State) promised() int {
	left := int(int32(s.RcvWup + s.RcvWnd - s.RcvNxt))
	return len(s.RecvData) + max(0, left-(1<<s.RcvWScale-1))
}

// ReadOptions is the reverse. Of a frozen socket, too, and it needs no privilege.
func (s *State) ReadOptions(fd int) {
	for _, o := range options {
		if v, err := unix.GetsockoptInt(fd, o.level, o.name); err == nil {
			*o.field(s) = v
		}
	}
	for _, f := range flags {
		if v, err := unix.GetsockoptInt(fd, f.level, f.name); err == nil {
			*f.field(s) = v != 0
		}
	}
	level, name := s.tos()
	s.TOS, _ = unix.GetsockoptInt(fd, level, name)
	b := make([]byte, 8)
	if _, err := getsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, b); err == nil && b[0] != 0 {
		s.Linger = 1 + int(b[4]) + int(b[5])<<8
	}
	s.Congestion, _ = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
}

func (s *State) readBuffers(fd int) {
	lock, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK)
	if lock&1 != 0 {
		v, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		s.SndBuf = v / 2 // the kernel doubles what is set
	}
	if lock&2 != 0 {
		v, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		s.RcvBuf = v / 2
	}
}

func (s *State) tos() (level, name int) {
	if s.Local.Addr().Unmap().Is4() {
		return unix.IPPROTO_IP, unix.IP_TOS
	}
	return unix.IPPROTO_IPV6, unix.IPV6_TCLASS
}

package machine

import (
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Received is what recvmsg(2) tells besides the bytes.
type Received struct {
	Flags   int
	Control []byte // ancillary messages, one behind the other
}

// Recv is recvmsg(2) and the calls that are special cases of it.
func (m *Machine) Recv(c Caller, fd int, iov [][]byte, flags int, info *Received) {
	s, err := m.socket(fd)
	switch {
	case err == nil && flags&unix.MSG_ERRQUEUE != 0:
		c.Reply(result(0, s.takeNote(info)))
		return
	case err == nil && (s.s == nil || s.s.Listener() != nil):
		err = tcp.ErrNotConn
	}
	if err != nil {
		c.Reply(result(0, err))
		return
	}
	want, had := total(iov), 0
	target := 1
	if want == 0 {
		target = 0
	}
	if flags&unix.MSG_WAITALL != 0 && flags&unix.MSG_PEEK == 0 {
		target = want
	} else if low := s.number(unix.SOL_SOCKET, unix.SO_RCVLOWAT); low > 1 && flags&unix.MSG_PEEK == 0 {
		target = min(low, want)
	}
	wait := !s.nonblock && flags&unix.MSG_DONTWAIT == 0
	m.blocking(c, wait, s.rcvTimeo, func() (int, error) {
		for {
			n, i, err := s.s.Recv(m.now, skip(iov, had), flags&^(unix.MSG_WAITALL|unix.MSG_DONTWAIT))
			info.Flags |= i.Flags
			had += n
			over := err != nil && err != tcp.ErrAgain || err == nil && n == 0
			switch {
			case had > 0 && (had >= target || over || !wait):
				s.tellInq(info)
				return had, nil
			case err != nil:
				return 0, err
			case over:
				s.tellInq(info)
				return 0, nil
			}
		}
	})
}

// Send is sendmsg(2) and the calls that are special cases of it; to is where to connect to, with MSG_FASTOPEN.
func (m *Machine) Send(c Caller, fd int, iov [][]byte, flags int, to []byte) {
	s, err := m.socket(fd)
	had, opening := 0, false
	wait, f := false, flags // f: with what Write wants to know
	if err == nil && !s.nonblock && flags&unix.MSG_DONTWAIT == 0 {
		wait, f = true, f|tcp.MsgWaits
	}
	switch {
	case err != nil:
	case s.s == nil && flags&unix.MSG_FASTOPEN != 0:
		had, err = s.dialFast(iov, f, to)
		opening = true
	case s.s == nil || s.s.Listener() != nil:
		err = tcp.ErrPipe
	case flags&unix.MSG_FASTOPEN != 0 && s.phase == connecting && s.s.Conn().Connected():
		err = s.connectResult() // this call is told how the attempt ended, as connect(2) would be
		f &^= unix.MSG_FASTOPEN
	case s.s.Conn().Deferred():
		had, err = s.s.Send(m.now, iov, f&^unix.MSG_FASTOPEN)
		opening = true
	}
	if err != nil {
		c.Reply(result(0, err))
		return
	}
	if opening {
		f &^= unix.MSG_FASTOPEN
	}
	want, again := total(iov), false
	m.blocking(c, wait, s.sndTimeo, func() (int, error) {
		if opening {
			if err := s.opened(wait); err == unix.EINPROGRESS && had > 0 {
				return had, nil
			} else if err != nil { // even if the SYN took something
				return 0, err
			}
			opening = false
		}
		if again && s.s.Ready()&(usock.PollOut|always) == 0 {
			return 0, tcp.ErrAgain // a writer that waits is woken when a third of the buffer is free
		}
		again = true
		f &^= unix.MSG_DONTWAIT
		if had > 0 {
			f |= tcp.MsgContinues
		}
		n, err := s.s.Send(m.now, skip(iov, had), f)
		had += max(n, 0)
		switch {
		case had > 0 && (had == want || !wait || err != nil && err != tcp.ErrAgain):
			return had, nil
		case err != nil:
			return 0, err
		case had == want:
			return had, nil
		}
		return 0, tcp.ErrAgain
	})
}

// dialFast is the first half of sendmsg(2) with MSG_FASTOPEN: the number tells what the SYN took.
func (s *socket) dialFast(iov [][]byte, flags int, to []byte) (int, error) {
	s.m.Refresh()
	if len(to) < 2 || to[0] == unix.AF_UNSPEC && to[1] == 0 {
		return 0, tcp.ErrNotSupp
	}
	local, remote, err := s.ends(to)
	if err != nil {
		return 0, err
	}
	u, n, err := s.m.stack.ConnectFast(s.m.now, local, remote, s.preset, iov, flags)
	if err != nil {
		return 0, err
	}
	s.s, s.phase = u, connecting
	return n, nil
}

// opened is what a write whose first bytes may have gone with the SYN waits for.
func (s *socket) opened(wait bool) error {
	switch {
	case s.s.Conn().Connected():
		return s.connectResult()
	case wait:
		return tcp.ErrAgain
	}
	return unix.EINPROGRESS
}

func total(iov [][]byte) (n int) {
	for _, b := range iov {
		n += len(b)
	}
	return n
}

// skip leaves out the first n bytes.
func skip(iov [][]byte, n int) [][]byte {
	for n > 0 && len(iov) > 0 {
		if n < len(iov[0]) {
			rest := append([][]byte{iov[0][n:]}, iov[1:]...)
			return rest
		}
		n -= len(iov[0])
		iov = iov[1:]
	}
	return iov
}

// Ioctl is ioctl(2): SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK and FIONBIO. in is the argument's value.
func (m *Machine) Ioctl(fd int, req uint, in int32) (out int32, ret int) {
	const siocOutQNSD, siocAtMark, fionbio = 0x894b, 0x8905, 0x5421
	s, err := m.socket(fd)
	if err != nil {
		return 0, result(0, err)
	}
	if req == fionbio {
		s.nonblock = in != 0
		return in, 0
	}
	u := s.s
	if u != nil && u.Listener() != nil {
		return 0, -int(unix.EINVAL)
	}
	if u == nil {
		u = &usock.Socket{} // no connection: all queues are empty
	}
	switch req {
	case unix.SIOCINQ:
		return int32(u.InQ()), 0
	case unix.SIOCOUTQ:
		return int32(u.OutQ()), 0
	case siocOutQNSD:
		return int32(u.OutQNSD()), 0
	case siocAtMark:
		if u.AtMark() {
			return 1, 0
		}
		return 0, 0
	}
	return 0, -int(unix.EINVAL)
}

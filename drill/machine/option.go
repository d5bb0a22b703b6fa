package machine

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/cabi/engine"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// harmless are options that a TCP with one program needs nothing for: they are kept and told.
var harmless = map[option]bool{
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}: true, {unix.SOL_SOCKET, unix.SO_REUSEPORT}: true, {unix.SOL_SOCKET, unix.SO_DEBUG}: true,
	{unix.SOL_SOCKET, unix.SO_DONTROUTE}: true, {unix.SOL_SOCKET, unix.SO_MARK}: true, {unix.SOL_SOCKET, unix.SO_BUSY_POLL}: true,
	{unix.SOL_SOCKET, unix.SO_INCOMING_CPU}: true, {unix.SOL_IP, unix.IP_FREEBIND}: true,
}

// SetOption is setsockopt(2).
func (m *Machine) SetOption(fd, level, name int, val []byte) int {
	s, err := m.socket(fd)
	if err != nil {
		return result(0, err)
	}
	if level == unix.SOL_SOCKET && (name == unix.SO_RCVTIMEO || name == unix.SO_SNDTIMEO) {
		return s.setTimeout(name, val)
	}
	if harmless[option{level, name}] {
		if len(val) < 4 {
			return -int(unix.EINVAL)
		}
		s.quiet[option{level, name}] = int32(binary.NativeEndian.Uint32(val))
		return 0
	}
	m.Refresh()
	if s.s != nil {
		err = s.s.SetOption(m.now, level, name, val)
		m.turn()
	} else {
		err = s.preset.SetOption(m.prm, level, name, val)
	}
	return result(0, err)
}

// Option is getsockopt(2): the value's length, or a negative errno.
func (m *Machine) Option(fd, level, name int, out []byte) int {
	s, err := m.socket(fd)
	if err != nil {
		return result(0, err)
	}
	if level == unix.SOL_SOCKET {
		switch name {
		case unix.SO_ERROR:
			return put(out, int32(s.takeError()))
		case unix.SO_RCVTIMEO:
			return putTimeout(out, s.rcvTimeo)
		case unix.SO_SNDTIMEO:
			return putTimeout(out, s.sndTimeo)
		case unix.SO_DOMAIN:
			if s.six {
				return put(out, unix.AF_INET6)
			}
			return put(out, unix.AF_INET)
		case unix.SO_MEMINFO:
			return s.memory(out)
		}
	}
	if level == unix.IPPROTO_TCP && name == unix.TCP_CC_INFO {
		return 0 // cubic and reno tell nothing; bbr's is not there
	}
	if harmless[option{level, name}] {
		return put(out, s.quiet[option{level, name}])
	}
	if s.s != nil {
		return result(s.s.Option(m.now, level, name, out))
	}
	if level == unix.IPPROTO_TCP && name == unix.TCP_INFO {
		clear(out)
		if len(out) > 0 {
			out[0] = byte(tcp.Closed)
		}
		return min(len(out), 232)
	}
	return result(s.preset.Option(m.prm, level, name, out))
}

// number is an option's value as an int, 0 when there is none.
func (s *socket) number(level, name int) int {
	var b [4]byte
	if s.s == nil {
		return 0
	}
	if n, err := s.s.Option(s.m.now, level, name, b[:]); err != nil || n < 4 {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}

func (s *socket) takeError() int {
	if s.s == nil {
		return 0
	}
	return int(engine.Errno(s.s.TakeError()))
}

// memory is SO_MEMINFO as far as the stack has such figures: the sizes of the two buffers, and what is queued in bytes of
// data (the kernel counts its own bookkeeping with it).
func (s *socket) memory(out []byte) int {
	const rmemAlloc, rcvBuf, wmemAlloc, sndBuf, wmemQueued, words = 0, 1, 2, 3, 5, 9
	var b [words * 4]byte
	at := func(i, v int) { binary.NativeEndian.PutUint32(b[4*i:], uint32(v)) }
	at(rcvBuf, s.number(unix.SOL_SOCKET, unix.SO_RCVBUF))
	at(sndBuf, s.number(unix.SOL_SOCKET, unix.SO_SNDBUF))
	if s.s != nil {
		at(rmemAlloc, s.s.InQ())
		at(wmemAlloc, s.s.OutQ())
		at(wmemQueued, s.s.OutQ())
	}
	return copy(out, b[:])
}

func put(out []byte, v int32) int {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	return copy(out, b[:])
}

// setTimeout is SO_RCVTIMEO or SO_SNDTIMEO, a struct timeval.
func (s *socket) setTimeout(name int, val []byte) int {
	if len(val) < 16 {
		return -int(unix.EINVAL)
	}
	sec, usec := int64(binary.NativeEndian.Uint64(val)), int64(binary.NativeEndian.Uint64(val[8:]))
	if usec < 0 || usec >= 1e6 {
		return -int(unix.EDOM)
	}
	ns := max(sec, 0)*1e9 + usec*1000
	if name == unix.SO_RCVTIMEO {
		s.rcvTimeo = ns
	} else {
		s.sndTimeo = ns
	}
	return 0
}

func putTimeout(out []byte, ns int64) int {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], uint64(ns/1e9))
	binary.NativeEndian.PutUint64(b[8:], uint64(ns%1e9/1000))
	return copy(out, b[:])
}

package engine

import (
	"bytes"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/fallback/repair"
	"github.com/sluice-net/sluice/ustack/usock"
)

type option struct{ level, name int }

// kernelsOwn are options that our TCP has and the calls of a preloaded program do not: what they fill, recvmsg(2) with MSG_ERRQUEUE
// would have to tell.
func kernelsOwn(level, name int) bool {
	return level == unix.SOL_SOCKET && (name == unix.SO_ZEROCOPY || name == unix.SO_TIMESTAMPING || name == unix.SO_TIMESTAMPING_NEW)
}

// inherited are the options that count for a connection and that a program may have set on the kernel socket before the engine
// came to serve it.
var inherited = []option{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_LINGER}, {unix.SOL_SOCKET, unix.SO_OOBINLINE},
	{unix.SOL_SOCKET, unix.SO_PRIORITY}, {unix.SOL_SOCKET, unix.SO_RCVLOWAT},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_TCP, unix.TCP_CORK}, {unix.IPPROTO_TCP, unix.TCP_MAXSEG},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	{unix.IPPROTO_TCP, unix.TCP_SYNCNT}, {unix.IPPROTO_TCP, unix.TCP_LINGER2}, {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT},
	{unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP}, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}, {unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT},
	{unix.IPPROTO_TCP, unix.TCP_CONGESTION}, {unix.IPPROTO_TCP, unix.TCP_FASTOPEN}, {unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT},
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN_NO_COOKIE}, {unix.IPPROTO_TCP, unix.TCP_SAVE_SYN}, {unix.IPPROTO_TCP, unix.TCP_INQ},
	{unix.IPPROTO_IP, unix.IP_TOS}, {unix.IPPROTO_IP, unix.IP_TTL}, {unix.IPPROTO_IP, unix.IP_MTU_DISCOVER},
	{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS}, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS},
}

// copyOptions gives set what was changed on the kernel socket kfd: what differs there from a fresh socket of its family. What equals
// the default is left alone, since setting a default can switch its automatic off.
func copyOptions(kfd int, set func(level, name int, val []byte)) {
	domain, err := unix.GetsockoptInt(kfd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return
	}
	fresh, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return
	}
	defer unix.Close(fresh)
	copyChanged(kfd, fresh, set, inherited)
	// The keys of the kernel's Fast Open cookies, which it tells to everybody: a client may present its cookie to either of us.
	var key [32]byte
	if n, ok := getOption(kfd, option{unix.IPPROTO_TCP, unix.TCP_FASTOPEN_KEY}, key[:]); ok && n > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_FASTOPEN_KEY, key[:n])
	}
	copyBuffer(kfd, fresh, set, unix.SO_RCVBUF)
	copyBuffer(kfd, fresh, set, unix.SO_SNDBUF)
}

func copyChanged(kfd, fresh int, set func(level, name int, val []byte), which []option) {
	var a, b [32]byte
	for _, o := range which {
		n, ok := getOption(kfd, o, a[:])
		m, ok2 := getOption(fresh, o, b[:])
		if ok && ok2 && !bytes.Equal(a[:n], b[:m]) {
			set(o.level, o.name, a[:n])
		}
	}
}

// moving are the options that go with a connection from the kernel: what is left out tells of its state there, not of the program's wish.
var moving = slices.DeleteFunc(slices.Clone(inherited), func(o option) bool {
	return o.level == unix.IPPROTO_TCP && (o.name == unix.TCP_MAXSEG || o.name == unix.TCP_WINDOW_CLAMP || o.name == unix.TCP_DEFER_ACCEPT)
})

// defaults4 and defaults6 are what a new socket of each family has of them; nil: it has no such option.
var (
	defaults4 = sync.OnceValue(func() [][]byte { return defaultsOf(unix.AF_INET) })
	defaults6 = sync.OnceValue(func() [][]byte { return defaultsOf(unix.AF_INET6) })
)

func defaultsOf(family int) (out [][]byte) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(fd) }()
	var b [32]byte
	for _, o := range moving {
		if n, ok := getOption(fd, o, b[:]); ok {
			out = append(out, bytes.Clone(b[:n]))
		} else {
			out = append(out, nil)
		}
	}
	return out
}

// setting is an option's value.
type setting struct {
	option
	val []byte
}

// changed are those of moving that somebody changed on kernel socket kfd.
func changed(kfd int, six bool) (out []setting) {
	def := defaults4()
	if six {
		def = defaults6()
	}
	var a [32]byte
	for i, o := range moving {
		if n, ok := getOption(kfd, o, a[:]); ok && i < len(def) && def[i] != nil && !bytes.Equal(a[:n], def[i]) {
			out = append(out, setting{o, bytes.Clone(a[:n])})
		}
	}
	return out
}

// copyMoving gives s the options that the connection had in the kernel.
func copyMoving(now int64, opts []setting, s *usock.Socket, st *repair.State) {
	set := func(level, name int, val []byte) {
		if level == unix.IPPROTO_IPV6 && name == unix.IPV6_V6ONLY { // a program could not set it any more
			s.IP().V6Only = val[0] != 0
			return
		}
		_ = s.SetOption(now, level, name, val)
	}
	for _, o := range opts {
		set(o.level, o.name, o.val)
	}
	for name, v := range [...]int{unix.SO_RCVBUF: st.RcvBuf, unix.SO_SNDBUF: st.SndBuf} {
		if v > 0 {
			set(unix.SOL_SOCKET, name, word(v))
		}
	}
}

func word(v int) []byte {
	return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
}

// copyBuffer copies a buffer size: the kernel tells twice what was asked for.
func copyBuffer(kfd, fresh int, set func(level, name int, val []byte), name int) {
	v, err := unix.GetsockoptInt(kfd, unix.SOL_SOCKET, name)
	def, err2 := unix.GetsockoptInt(fresh, unix.SOL_SOCKET, name)
	if err != nil || err2 != nil || v == def {
		return
	}
	set(unix.SOL_SOCKET, name, word(v/2))
}

// intOption reads an option of a socket of ours as an int; def when it has none such.
func intOption(s *usock.Socket, level, name, def int) int {
	var b [4]byte
	n, err := s.Option(nanotime(), level, name, b[:])
	if err != nil || n == 0 {
		return def
	}
	return int(int32(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24))
}

// along are the options that the program's own socket is given when a connection has moved to the kernel, beside those of repair.State, which the
// broker sets: none of them needs a privilege.
var along = []option{
	{unix.IPPROTO_IP, unix.IP_TTL}, {unix.IPPROTO_IP, unix.IP_MTU_DISCOVER}, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS},
	{unix.SOL_SOCKET, unix.SO_OOBINLINE}, {unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE},
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}, {unix.IPPROTO_TCP, unix.TCP_SYNCNT}, {unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT},
	{unix.IPPROTO_TCP, unix.TCP_INQ}, {unix.IPPROTO_TCP, unix.TCP_QUICKACK},
}

// giveAlong sets what differs on kernel socket fd.
func giveAlong(fd int, s *usock.Socket) {
	const none = -1 << 31
	for _, o := range along {
		if o.level == unix.IPPROTO_IPV6 && !s.V6() {
			continue
		}
		is, err := unix.GetsockoptInt(fd, o.level, o.name)
		if v := intOption(s, o.level, o.name, none); err == nil && v != none && v != is {
			_ = unix.SetsockoptInt(fd, o.level, o.name, v)
		}
	}
}

// optionsInto adds the options of a connection that moves to the kernel.
func optionsInto(st *repair.State, s *usock.Socket) {
	const tcp = unix.IPPROTO_TCP
	st.NoDelay = intOption(s, tcp, unix.TCP_NODELAY, 0) != 0
	st.Cork = intOption(s, tcp, unix.TCP_CORK, 0) != 0
	st.KeepAlive = intOption(s, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0) != 0
	st.KeepIdle = intOption(s, tcp, unix.TCP_KEEPIDLE, 0)
	st.KeepIntvl = intOption(s, tcp, unix.TCP_KEEPINTVL, 0)
	st.KeepCnt = intOption(s, tcp, unix.TCP_KEEPCNT, 0)
	st.UserTimeout = intOption(s, tcp, unix.TCP_USER_TIMEOUT, 0)
	st.TOS = int(s.IP().TOS)
	st.V6Only = s.V6() && s.IP().V6Only
	var b [16]byte
	if n, err := s.Option(nanotime(), unix.SOL_SOCKET, unix.SO_LINGER, b[:]); err == nil && n >= 8 && b[0] != 0 {
		st.Linger = int(int32(uint32(b[4])|uint32(b[5])<<8|uint32(b[6])<<16|uint32(b[7])<<24)) + 1
	}
	if n, err := s.Option(nanotime(), tcp, unix.TCP_CONGESTION, b[:]); err == nil {
		st.Congestion = string(bytes.TrimRight(b[:n], "\x00"))
	}
}

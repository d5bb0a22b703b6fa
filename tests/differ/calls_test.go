package differ

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// kind is what an argument of a call stands for: how one is chosen, and what it is simplified to.
type kind struct {
	pick  func(r *rand.Rand) int64
	plain int64
}

func among(plain int64, others ...int64) kind {
	all := append([]int64{plain, plain, plain}, others...)
	return kind{func(r *rand.Rand) int64 { return all[r.IntN(len(all))] }, plain}
}

func upTo(n int64) kind { return kind{func(r *rand.Rand) int64 { return r.Int64N(n) }, 0} }

// bits are a value with each of the flags in one of eight choices, and rarely any bit at all.
func bits(flags ...int64) kind {
	return kind{func(r *rand.Rand) (v int64) {
		if r.IntN(25) == 0 {
			return 1 << r.IntN(31)
		}
		if r.IntN(2) == 0 {
			return 0
		}
		for _, f := range flags {
			if r.IntN(len(flags)) == 0 {
				v |= f
			}
		}
		return v
	}, 0}
}

// Descriptors: slots 0 to 7 (0 and 1 most often connections), 8 none, 9 a number that is not open, 10 a file, 11 and 12 a pipe's ends.
var (
	fd   = kind{func(r *rand.Rand) int64 { return pickFD(r) }, 0}
	slot = kind{func(r *rand.Rand) int64 { return 1 + r.Int64N(7) }, 2}
	conn = kind{func(r *rand.Rand) int64 { return r.Int64N(5) / 2 }, 0}
	size = among(1, 0, 2, 7, 64, 100, 1000, 1460, 3000)
	room = among(4096, 0, 1, 3, 64, 1460)
	ptr  = kind{func(r *rand.Rand) int64 { return max(0, r.Int64N(20)-17) }, 0} // 1 NULL, 2 unmapped
	alen = among(16, 0, 1, 2, 8, 15, 28, 128, -1)
	wait = among(0, 0, 0, 5, -1)

	sendFlags = bits(unix.MSG_DONTWAIT, unix.MSG_NOSIGNAL, unix.MSG_OOB, unix.MSG_MORE, unix.MSG_DONTROUTE, unix.MSG_EOR, unix.MSG_DONTWAIT)
	recvFlags = bits(unix.MSG_DONTWAIT, unix.MSG_PEEK, unix.MSG_WAITALL, unix.MSG_TRUNC, unix.MSG_OOB, unix.MSG_DONTWAIT, unix.MSG_ERRQUEUE)
	events    = bits(unix.POLLIN, unix.POLLOUT, unix.POLLPRI, unix.POLLRDHUP, unix.POLLIN, 0x40, 0x100)
	epEvents  = bits(unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLET, unix.EPOLLRDHUP, unix.EPOLLONESHOT, unix.EPOLLPRI, unix.EPOLLIN, unix.EPOLLEXCLUSIVE)
)

func pickFD(r *rand.Rand) int64 {
	switch n := r.IntN(40); {
	case n < 20:
		return 0
	case n < 28:
		return 1
	case n < 37:
		return 2 + r.Int64N(6)
	}
	return 8 + r.Int64N(5)
}

// call is one that prog/ knows: how often it comes, and its arguments in order.
type call struct {
	name   string
	weight int
	args   []kind
}

var calls = []call{
	{"send", 10, []kind{fd, size, sendFlags, ptr}},
	{"write", 5, []kind{fd, size, ptr}},
	{"recv", 12, []kind{fd, room, recvFlags, ptr}},
	{"read", 5, []kind{fd, room, ptr}},
	{"sendto", 2, []kind{fd, size, sendFlags, ptr, alen}},
	{"recvfrom", 3, []kind{fd, room, recvFlags, ptr, alen}},
	{"writev", 3, []kind{fd, among(2, 0, 1, 3, 1024, 1025, -1), size, ptr}},
	{"readv", 3, []kind{fd, among(2, 0, 1, 3, 1024, 1025, -1), room, ptr}},
	{"sendmsg", 4, []kind{fd, among(2, 0, 1, 3, 1024, 1025), size, sendFlags, ptr, ptr}},
	{"recvmsg", 5, []kind{fd, among(2, 0, 1, 3, 1024, 1025), room, recvFlags, among(0, 1, 16, 200), ptr}},
	{"sendmmsg", 2, []kind{fd, among(2, 0, 1, 8), size, sendFlags, ptr}},
	// recvmmsg: of nothing, and after a part, its result depends on whether a signal came in between.
	{"recvmmsg", 3, []kind{fd, among(2, 0, 1, 8), among(64, 1, 1460), kind{func(r *rand.Rand) int64 { return recvFlags.pick(r) | unix.MSG_WAITFORONE }, unix.MSG_WAITFORONE}, among(1, 0), ptr}},
	{"pwritev2", 1, []kind{fd, size, among(-1, 0, 5, -2), among(0, 1, 8, 16)}},
	{"preadv2", 1, []kind{fd, room, among(-1, 0, 5, -2), among(0, 1, 8, 16)}},
	{"pread", 1, []kind{fd, room, among(0, 5, -1)}},
	{"lseek", 1, []kind{fd, among(0, 1), upTo(4)}},
	{"peer_give", 16, []kind{conn, size}},
	{"peer_oob", 1, []kind{conn, among(1, 2, 5)}},
	{"peer_take", 4, []kind{conn, size}},
	{"peer_end", 2, []kind{conn}},
	{"peer_shutdown", 2, []kind{conn}},
	{"peer_close", 1, []kind{conn}},
	{"peer_reset", 1, []kind{conn}},
	{"socket", 2, []kind{slot, among(unix.AF_INET, unix.AF_INET6, unix.AF_UNIX, 99), among(unix.SOCK_STREAM, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.SOCK_DGRAM, 77), among(0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, 255)}},
	{"listen", 2, []kind{fd, among(8, 0, -1, 1)}},
	{"shutdown", 3, []kind{fd, among(1, 0, 2, 3, -1)}},
	{"bind", 1, []kind{fd, among(3, 0, 2, 4), ptr, alen}},
	{"connect", 3, []kind{fd, among(0, 1, 2, 4), ptr, alen, among(2, 3)}},
	{"accept", 2, []kind{slot, fd, ptr, alen}},
	{"accept4", 2, []kind{slot, fd, among(0, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC, 7)}},
	{"getsockname", 2, []kind{fd, ptr, alen}},
	{"getpeername", 2, []kind{fd, ptr, alen}},
	{"peer_dial", 2, []kind{among(3, 4), fd}},
	{"getsockopt", 8, nil},
	{"setsockopt", 7, nil},
	{"setname", 1, []kind{fd, among(unix.IPPROTO_TCP), among(unix.TCP_CONGESTION), upTo(6)}},
	{"setpair", 2, []kind{fd, among(unix.SOL_SOCKET), among(unix.SO_LINGER, unix.SO_RCVTIMEO, unix.SO_SNDTIMEO), among(0, 1), among(0, 1, 3000, -1, 1000000)}},
	{"sockatmark", 1, []kind{fd}},
	{"poll", 6, []kind{fd, fd, fd, events, wait, ptr}},
	{"ppoll", 2, []kind{fd, fd, fd, events, wait}},
	{"select", 3, []kind{fd, fd, among(1, 2, 3, 4, 7), wait, among(0, 1, -1)}},
	{"epoll_create1", 2, []kind{slot, among(0, unix.EPOLL_CLOEXEC, 5)}},
	{"epoll_ctl", 6, []kind{slot, among(1, 2, 3, 4), fd, epEvents, ptr}},
	{"epoll_wait", 5, []kind{slot, among(8, 1, 2, 0, -1), wait, ptr}},
	{"close", 4, []kind{fd}},
	{"dup", 2, []kind{slot, fd}},
	{"dup2", 2, []kind{fd, fd}},
	{"dup3", 1, []kind{fd, fd, among(0, unix.O_CLOEXEC, 1)}},
	{"dupfd", 1, []kind{slot, fd, among(unix.F_DUPFD, unix.F_DUPFD_CLOEXEC), among(0, 20, 300, -1, 1<<30)}},
	{"fcntl", 5, []kind{fd, among(unix.F_SETFL, unix.F_GETFL, unix.F_GETFD, unix.F_SETFD, unix.F_GETOWN, unix.F_GETSIG, 9999), among(0, unix.O_NONBLOCK, unix.O_NONBLOCK, 1)}},
	{"ioctl", 5, []kind{fd, among(unix.TIOCINQ, unix.TIOCOUTQ, 0x5421, 0x8905, 0x894b, unix.TCGETS, 0x1234), upTo(2), ptr}},
	{"fstat", 1, []kind{fd}},
	{"fork", 1, []kind{fd, upTo(4), upTo(2)}},
	{"sendfile", 2, []kind{fd, among(10, 11, 0, 1), among(-9, 0, 100, 9000, -1), size, ptr}},
	{"splice", 3, []kind{among(11, 0, 1, 10), among(0, 12, 1), size, bits(unix.SPLICE_F_NONBLOCK, unix.SPLICE_F_MORE), upTo(3)}},
	{"tee", 1, []kind{among(0, 11), among(1, 12), size, bits(unix.SPLICE_F_NONBLOCK)}},
	{"copy_file_range", 1, []kind{among(10, 0), among(0, 10), size}},
}

// option is one with the values worth setting.
type option struct {
	level, name int64
	values      kind
}

var flag = among(1, 0, 0, 2, -1)

// Not here: TCP_REPAIR, TCP_MD5SIG, filters and ULPs, which change what a connection is; buffers smaller than what a sequence has under way.
var options = []option{
	{unix.SOL_SOCKET, unix.SO_ERROR, flag}, {unix.SOL_SOCKET, unix.SO_TYPE, flag}, {unix.SOL_SOCKET, unix.SO_DOMAIN, flag},
	{unix.SOL_SOCKET, unix.SO_PROTOCOL, flag}, {unix.SOL_SOCKET, unix.SO_ACCEPTCONN, flag}, {unix.SOL_SOCKET, unix.SO_REUSEADDR, flag},
	{unix.SOL_SOCKET, unix.SO_REUSEPORT, flag}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE, flag}, {unix.SOL_SOCKET, unix.SO_OOBINLINE, flag},
	{unix.SOL_SOCKET, unix.SO_RCVBUF, among(65536, 200000)}, {unix.SOL_SOCKET, unix.SO_SNDBUF, among(65536, 200000)},
	{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, among(65536, 64<<20)}, {unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, among(65536, 64<<20, -1)},
	{unix.SOL_SOCKET, unix.SO_RCVLOWAT, among(1, 0, 5, 100, -1)}, {unix.SOL_SOCKET, unix.SO_SNDLOWAT, flag}, {unix.SOL_SOCKET, unix.SO_LINGER, flag},
	{unix.SOL_SOCKET, unix.SO_PRIORITY, among(0, 1, 6)}, {unix.SOL_SOCKET, unix.SO_MARK, among(0, 1)}, {unix.SOL_SOCKET, unix.SO_BROADCAST, flag},
	{unix.SOL_SOCKET, unix.SO_DONTROUTE, flag}, {unix.SOL_SOCKET, unix.SO_NO_CHECK, flag}, {unix.SOL_SOCKET, unix.SO_TIMESTAMP, flag},
	{unix.SOL_SOCKET, unix.SO_BUSY_POLL, among(0, 50)}, {unix.SOL_SOCKET, unix.SO_INCOMING_CPU, flag},
	{unix.SOL_SOCKET, unix.SO_RCVTIMEO, flag}, {unix.SOL_SOCKET, unix.SO_SNDTIMEO, flag}, {unix.SOL_SOCKET, unix.SO_PEERCRED, flag},
	{unix.SOL_SOCKET, unix.SO_PASSCRED, flag}, {unix.SOL_SOCKET, unix.SO_PEEK_OFF, among(0, -1)}, {unix.SOL_SOCKET, unix.SO_MEMINFO, flag},
	{unix.SOL_SOCKET, unix.SO_COOKIE, flag}, {unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, among(-1, 1000000)}, {unix.SOL_SOCKET, 9999, flag},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, flag}, {unix.IPPROTO_TCP, unix.TCP_MAXSEG, among(536, 1000, 0, 7, 99999)}, {unix.IPPROTO_TCP, unix.TCP_CORK, flag},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, among(60, 0, 1, 32767, 32768)}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, among(60, 0, 1, 32768)},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, among(5, 0, 127, 128)}, {unix.IPPROTO_TCP, unix.TCP_SYNCNT, among(3, 0, 127, 128)},
	{unix.IPPROTO_TCP, unix.TCP_LINGER2, among(5, 0, -1, 9999)}, {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, among(0, 1)},
	{unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, among(65536, 0)}, {unix.IPPROTO_TCP, unix.TCP_INFO, flag}, {unix.IPPROTO_TCP, unix.TCP_QUICKACK, flag},
	{unix.IPPROTO_TCP, unix.TCP_CONGESTION, flag}, {unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, flag}, {unix.IPPROTO_TCP, unix.TCP_THIN_DUPACK, flag},
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, among(0, 10000, -1)}, {unix.IPPROTO_TCP, unix.TCP_FASTOPEN, among(0, 5)},
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, among(0, 100000)}, {unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, flag}, {unix.IPPROTO_TCP, unix.TCP_SAVED_SYN, flag},
	{unix.IPPROTO_TCP, unix.TCP_INQ, flag}, {unix.IPPROTO_TCP, unix.TCP_CC_INFO, flag},
	{unix.IPPROTO_TCP, 9999, flag},
	{unix.IPPROTO_IP, unix.IP_TOS, among(0, 16, 255, 256)}, {unix.IPPROTO_IP, unix.IP_TTL, among(64, 0, 255, 256, -1)}, {unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, among(1, 0, 2, 3, 9)},
	{unix.IPPROTO_IP, unix.IP_MTU, flag}, {unix.IPPROTO_IP, unix.IP_RECVTOS, flag}, {unix.IPPROTO_IP, unix.IP_RECVTTL, flag}, {unix.IPPROTO_IP, unix.IP_PKTINFO, flag},
	{unix.IPPROTO_IP, unix.IP_FREEBIND, flag}, {unix.IPPROTO_IP, unix.IP_RECVERR, flag}, {unix.IPPROTO_IP, unix.IP_OPTIONS, flag}, {unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, flag},
	{unix.IPPROTO_IP, 9999, flag}, {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, flag}, {77, 1, flag},
}

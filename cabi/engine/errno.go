package engine

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// errnos is the one place where errors become errno values.
var errnos = map[error]unix.Errno{
	tcp.ErrAgain:       unix.EAGAIN,
	tcp.ErrReset:       unix.ECONNRESET,
	tcp.ErrTimeout:     unix.ETIMEDOUT,
	tcp.ErrPipe:        unix.EPIPE,
	tcp.ErrRefused:     unix.ECONNREFUSED,
	tcp.ErrAborted:     unix.ECONNABORTED,
	tcp.ErrNotConn:     unix.ENOTCONN,
	tcp.ErrInval:       unix.EINVAL,
	tcp.ErrDomain:      unix.EDOM,
	tcp.ErrNoProtoOpt:  unix.ENOPROTOOPT,
	tcp.ErrNotSupp:     unix.EOPNOTSUPP,
	tcp.ErrNoMem:       unix.ENOMEM,
	tcp.ErrNoBufs:      unix.ENOBUFS,
	tcp.ErrNoEnt:       unix.ENOENT,
	tcp.ErrHostUnreach: unix.EHOSTUNREACH,
	tcp.ErrNetUnreach:  unix.ENETUNREACH,
	tcp.ErrMsgSize:     unix.EMSGSIZE,
	tcp.ErrProto:       unix.EPROTO,
	tcp.ErrAcces:       unix.EACCES,
	tcp.ErrInUse:       unix.EADDRINUSE,
	tcp.ErrNotAvail:    unix.EADDRNOTAVAIL,
	tcp.ErrIsConn:      unix.EISCONN,
	tcp.ErrAlready:     unix.EALREADY,
	tcp.ErrCannotMove:  unix.EOPNOTSUPP,
	tcp.ErrFrozen:      unix.EAGAIN,
}

// errno turns an error into an errno: sentinels by the table, wrapped ones by what they wrap, EIO for the rest.
func errno(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if err == tcp.ErrAgain {
		return unix.EAGAIN
	}
	if e, ok := errnos[err]; ok {
		return e
	}
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	for sentinel, e := range errnos {
		if errors.Is(err, sentinel) {
			return e
		}
	}
	return unix.EIO
}

// result is a call's result as cabi.h has it.
func result(n int, err error) int {
	if err != nil {
		return -int(errno(err))
	}
	return n
}

package tcp

import "errors"

// What a call on a connection can fail with. Each stands for the errno that the kernel's socket call returns.
var (
	ErrAgain       = errors.New("would block")                // EAGAIN
	ErrReset       = errors.New("connection reset by peer")   // ECONNRESET
	ErrTimeout     = errors.New("connection timed out")       // ETIMEDOUT
	ErrPipe        = errors.New("broken pipe")                // EPIPE
	ErrRefused     = errors.New("connection refused")         // ECONNREFUSED
	ErrAborted     = errors.New("connection aborted")         // ECONNABORTED
	ErrNotConn     = errors.New("not connected")              // ENOTCONN
	ErrInval       = errors.New("invalid argument")           // EINVAL
	ErrDomain      = errors.New("argument out of domain")     // EDOM
	ErrNoProtoOpt  = errors.New("protocol option unknown")    // ENOPROTOOPT
	ErrNotSupp     = errors.New("operation not supported")    // EOPNOTSUPP
	ErrNoMem       = errors.New("out of memory")              // ENOMEM
	ErrNoBufs      = errors.New("no buffer space")            // ENOBUFS
	ErrNoEnt       = errors.New("no such algorithm")          // ENOENT
	ErrHostUnreach = errors.New("no route to host")           // EHOSTUNREACH
	ErrNetUnreach  = errors.New("network is unreachable")     // ENETUNREACH
	ErrMsgSize     = errors.New("message too long")           // EMSGSIZE
	ErrProto       = errors.New("protocol error")             // EPROTO
	ErrAcces       = errors.New("permission denied")          // EACCES
	ErrInUse       = errors.New("address already in use")     // EADDRINUSE
	ErrNotAvail    = errors.New("address not available")      // EADDRNOTAVAIL
	ErrIsConn      = errors.New("already connected")          // EISCONN
	ErrAlready     = errors.New("connection being made")      // EALREADY
	ErrCannotMove  = errors.New("connection cannot be moved") // the kernel has no such state: see Freeze
	ErrFrozen      = errors.New("connection is being moved")  // a call on a frozen connection
)

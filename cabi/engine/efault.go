package engine

import (
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/usock"
)

// A program may pass addresses where it has no memory; the kernel says EFAULT. There is no asking but touching: each page of what a call
// is about to copy is touched before anything of the connection changes.

// maxSend is how much one send takes: what is touched is bounded. A caller that waits goes on with the rest.
const maxSend = 1 << 20

// wholeChunks: Linux copies what is sent by up to so many octets, and sends the chunks before the one that it cannot read.
const wholeChunks = 32 << 10

// touchable tells how many octets of iov, at most so many, can be read (or written).
func touchable(iov [][]byte, most int, write bool) (good int) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { _ = recover() }()
	for _, v := range iov {
		if most == 0 {
			return good
		}
		v = v[:min(len(v), most)]
		most -= len(v)
		for len(v) > 0 {
			n := min(len(v), restOfPage(v))
			touch(v, write)
			good += n
			v = v[n:]
		}
	}
	return good
}

// canReceive tells whether what waits fits into memory that is there. hollow: an address is NULL.
func canReceive(s *usock.Socket, iov [][]byte, flags int, hollow bool) bool {
	if flags&unix.MSG_TRUNC != 0 { // nothing is copied
		return true
	}
	n := min(sizeOf(iov), s.Ahead())
	if flags&unix.MSG_OOB != 0 {
		n = min(sizeOf(iov), 1)
	}
	if hollow {
		return n == 0 && s.Ahead() == 0
	}
	return n == 0 || touchable(iov, n, true) == n
}

// canSend cuts iov to what is there, and says whether anything is.
func canSend(iov [][]byte) ([][]byte, bool) {
	n := min(sizeOf(iov), maxSend)
	good := touchable(iov, n, false)
	if good < n && good < wholeChunks {
		return nil, false
	}
	if good < sizeOf(iov) {
		iov = firstOf(iov, good)
	}
	return iov, true
}

// unreceived is a receive into memory that is not there: what the connection has to say comes first.
func (e *Engine) unreceived(now int64, h int32, s *usock.Socket, flags int) int {
	if flags&unix.MSG_OOB == 0 {
		if flags&unix.MSG_PEEK == 0 {
			s.PassMark()
		}
		return -int(unix.EFAULT)
	}
	n, _, err := s.Recv(now, [][]byte{e.scrap[:1]}, flags|unix.MSG_PEEK)
	e.update(h)
	if n > 0 {
		return -int(unix.EFAULT)
	}
	return result(n, err)
}

// unsent is a send from memory that is not there: an error of the connection, or its end, comes first.
func (e *Engine) unsent(now int64, h int32, s *usock.Socket, flags int) int {
	_, err := s.Send(now, nil, flags&unix.MSG_FASTOPEN)
	e.update(h)
	if err != nil {
		return result(0, err)
	}
	return -int(unix.EFAULT)
}

func sizeOf(iov [][]byte) (n int) {
	for _, v := range iov {
		n += len(v)
	}
	return n
}

// firstOf shortens iov, in place, to n octets.
func firstOf(iov [][]byte, n int) [][]byte {
	for i, v := range iov {
		if len(v) >= n {
			iov[i] = v[:n]
			return iov[:i+1]
		}
		n -= len(v)
	}
	return iov
}

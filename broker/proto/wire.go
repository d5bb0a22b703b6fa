package proto

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of a channel.
var (
	ErrAgain   = errors.New("no message now")
	ErrClosed  = errors.New("channel closed")
	ErrTooBig  = errors.New("message too big")
	ErrTimeout = errors.New("no answer in time")
)

// errReset is told once, in front of all that was sent before, if the other side ended with something unread (unix_release_sock).
var errReset = fmt.Errorf("%w with something unread", ErrClosed)

// Packet is a received message. Its descriptors are the receiver's to close; all are close-on-exec.
type Packet struct {
	Envelope
	FDs   []int
	Creds *unix.Ucred // if the socket asks for them
	Pidfd int         // -1: none came
}

// CloseFDs closes the descriptors that are left in it.
func (p *Packet) CloseFDs() {
	for _, fd := range p.FDs {
		unix.Close(fd)
	}
	p.FDs = nil
	if p.Pidfd >= 0 {
		unix.Close(p.Pidfd)
		p.Pidfd = -1
	}
}

// Encode makes an envelope's bytes; body may be nil.
func Encode(env Envelope, body any) ([]byte, error) {
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", env.Op, err)
		}
		env.Body = raw
	}
	b, err := json.Marshal(env)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", env.Op, err)
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%s: %w", env.Op, ErrTooBig)
	}
	return b, nil
}

// Write sends one encoded message without blocking; ErrAgain: the channel is full. Extra control messages go in front.
func Write(fd int, b []byte, fds []int, oob ...byte) error {
	if len(fds) > MaxFDs {
		return fmt.Errorf("%d descriptors: %w", len(fds), ErrTooBig)
	}
	if len(fds) > 0 {
		oob = append(oob, unix.UnixRights(fds...)...)
	}
	for {
		err := unix.Sendmsg(fd, b, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			return ErrAgain
		case unix.EPIPE, unix.ECONNRESET:
			return ErrClosed
		default:
			return err
		}
	}
}

// Read receives one message without blocking, into buf of at least MaxMessage bytes.
func Read(fd int, buf []byte) (*Packet, error) { return readAbove(fd, buf, 0) }

var (
	oobSize = unix.CmsgSpace(4*MaxFDs) + unix.CmsgSpace(unix.SizeofUcred) + unix.CmsgSpace(4)
	// oobs is room for control messages: who waits awake looks many times.
	oobs = sync.Pool{New: func() any { b := make([]byte, oobSize); return &b }}
)

// readAbove is Read for a process whose low numbers are its program's: descriptors move up at once.
func readAbove(fd int, buf []byte, low int) (*Packet, error) {
	oob := oobs.Get().(*[]byte)
	defer oobs.Put(oob)
	var n, oobn, flags int
	for {
		var err error
		n, oobn, flags, _, err = unix.Recvmsg(fd, buf, *oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return nil, ErrAgain
		}
		if err == unix.ECONNRESET {
			return nil, errReset
		}
		if err != nil {
			return nil, fmt.Errorf("receive: %w", err)
		}
		break
	}
	p := &Packet{Pidfd: -1}
	err := p.Control((*oob)[:oobn])
	for i, fd := range p.FDs {
		p.FDs[i] = Raise(fd, low)
	}
	if err != nil {
		p.CloseFDs()
		return nil, err
	}
	if n == 0 && len(p.FDs) == 0 {
		p.CloseFDs() // credentials come even with an end of file on some kernels
		return nil, ErrClosed
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		p.CloseFDs()
		return nil, ErrTooBig
	}
	if err := p.decode(buf[:n]); err != nil {
		p.CloseFDs()
		return nil, fmt.Errorf("decode message: %w", err)
	}
	return p, nil
}

// Raise gives a descriptor a number from low on, and closes the one it had: another thread of the program should see no descriptor that the
// program did not open. It keeps its number if there is none free.
func Raise(fd, low int) int {
	if fd < 0 || fd >= low {
		return fd
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, low)
	if err != nil {
		return fd
	}
	unix.Close(fd)
	return high
}

// Control takes in a message's control messages.
func (p *Packet) Control(oob []byte) error {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	for i := range msgs {
		m := &msgs[i]
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SCM_RIGHTS:
			if len(m.Data)%4 != 0 {
				return fmt.Errorf("descriptors in %d bytes", len(m.Data)) // ParseUnixRights would read beyond them
			}
			fds, err := unix.ParseUnixRights(m)
			p.FDs = append(p.FDs, fds...)
			if err != nil {
				return fmt.Errorf("descriptors: %w", err)
			}
		case unix.SCM_CREDENTIALS:
			if len(m.Data) == 0 {
				return errors.New("no credentials") // ParseUnixCredentials would read beyond them
			}
			if p.Creds, err = unix.ParseUnixCredentials(m); err != nil {
				return fmt.Errorf("credentials: %w", err)
			}
		case unix.SCM_PIDFD:
			if fds, err := (parseInt32(m.Data)); err == nil {
				p.Pidfd = fds
			}
		}
	}
	return nil
}

func parseInt32(b []byte) (int, error) {
	if len(b) < 4 {
		return -1, unix.EINVAL
	}
	return int(int32(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)), nil
}

// wait blocks until fd has one of the events, or the time is over.
func wait(fd int, events int16, until time.Time) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return ErrTimeout
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(p, int(left/time.Millisecond)+1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for the broker: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}

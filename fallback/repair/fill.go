package repair

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// fill writes to a queue.
func fill(fd, queue int, b []byte, what string) error {
	if len(b) == 0 {
		return nil
	}
	if err := useQueue(fd, queue); err != nil {
		return err
	}
	if n, err := write(fd, b); err != nil {
		return fmt.Errorf("fill %s, %d bytes left: %w", what, len(b)-n, err)
	}
	return nil
}

// write writes what there is room for; n counts that also with an error.
func write(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		k, err := unix.SendmsgN(fd, b[n:min(len(b), n+32<<10)], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// restPatience is how long unsent data may wait for memory.
const restPatience = 3 * time.Second

// sendRest sends what was not sent yet. The socket is alive by now and there is no way back: whoever had the connection before does not know what
// it has sent. So a kernel that is short of memory, and has made the socket's room smaller, gets the time to be rid of some.
func (s *State) sendRest(fd int, b []byte) error {
	for end := time.Now().Add(restPatience); ; {
		n, err := write(fd, b)
		b = b[n:]
		short := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
		if !short || time.Now().After(end) {
			return step("send the unsent data", err)
		}
		if was := grow(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, len(s.SendData)); s.sndbuf == 0 {
			s.sndbuf = was
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 10) // milliseconds
	}
}

// grow makes room for n bytes with the kernel's own overhead, and returns what the size was; 0: it was not changed. The option takes half
// of what it sets.
func grow(fd, opt, get, n int) int {
	if n == 0 {
		return 0
	}
	now, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, get)
	want := 2*n + 64<<10
	if err != nil || now >= 2*want {
		return 0
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, want)
	return now
}

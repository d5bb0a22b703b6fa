package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// maxFill bounds the numbers that raisePoller occupies for a moment.
const maxFill = 4096

// raisePoller makes the Go runtime open its two descriptors (an epoll set and an eventfd) now, at numbers from min on (from maxFill on if min is
// larger). It would open them with its first timer, which the garbage collector may arm at any time, at the lowest free numbers, which are
// the program's. All lower numbers are occupied meanwhile. It returns the two, to be listed as the engine's own.
func raisePoller(min int) []int {
	spare, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil
	}
	fill := []int{spare}
	defer func() { closeRuns(fill) }()
	dup := func() (int, bool) {
		fd, err := unix.FcntlInt(uintptr(spare), unix.F_DUPFD_CLOEXEC, 0)
		return fd, err == nil
	}
	for {
		fd, ok := dup()
		if !ok { // at the limit of descriptors: the runtime must find room, or it ends the process
			return nil
		}
		fill = append(fill, fd)
		if fd >= min-1 || len(fill) >= maxFill {
			break
		}
	}
	first, ok := dup()
	second, ok2 := dup()
	if ok {
		_ = unix.Close(first)
	}
	if ok2 {
		_ = unix.Close(second)
	}
	if !ok || !ok2 {
		return nil
	}
	time.AfterFunc(time.Hour, func() {}).Stop()
	var got []int
	for _, fd := range []int{first, second} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			got = append(got, fd)
		}
	}
	return got
}

// closeRuns closes descriptors, which are in order of their numbers; of those without a gap many at once (Linux 5.9).
func closeRuns(fds []int) {
	for i := 0; i < len(fds); {
		j := i + 1
		for j < len(fds) && fds[j] == fds[j-1]+1 {
			j++
		}
		if unix.CloseRange(uint(fds[i]), uint(fds[j-1]), 0) != nil {
			closeAll(fds[i:j])
		}
		i = j
	}
}

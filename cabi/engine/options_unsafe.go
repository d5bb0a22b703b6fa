package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// getOption is getsockopt(2) of any kind of value.
func getOption(fd int, o option, out []byte) (int, bool) {
	n := uint32(len(out))
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.name),
		uintptr(unsafe.Pointer(&out[0])), uintptr(unsafe.Pointer(&n)), 0)
	return int(n), e == 0
}

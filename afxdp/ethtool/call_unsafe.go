package ethtool

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ifreq is struct ifreq with a pointer as its value; the kernel copies 40 bytes.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// call makes one ethtool request, which the kernel reads from req and answers there.
func call[T any](device string, req *T) error { return ioctl(device, unsafe.Pointer(req)) }

// callBytes is call for a structure that is written by hand; it must be as long as its command's.
func callBytes(device string, req []byte) error {
	return ioctl(device, unsafe.Pointer(unsafe.SliceData(req)))
}

func ioctl(device string, req unsafe.Pointer) error {
	return withSocket(func(fd int) error {
		var r ifreq
		copy(r.name[:unix.IFNAMSIZ-1], device)
		var pin runtime.Pinner
		defer pin.Unpin()
		pin.Pin(req)
		r.data = req
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); errno != 0 {
			return errno
		}
		return nil
	})
}

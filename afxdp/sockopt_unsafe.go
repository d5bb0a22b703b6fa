package afxdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// registerUmem tells the socket which memory its frames lie in, and how many bytes of metadata (0: none) lie in front of a
// packet to send. The kernel pins the pages, so the mapping itself may go away afterwards.
func registerUmem(fd int, mem []byte, frameSize, metadata uint32) error {
	reg := unix.XDPUmemReg{
		Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))),
		Len:  uint64(len(mem)),
		Size: frameSize,
	}
	if metadata > 0 {
		reg.Flags, reg.Tx_metadata_len = unix.XDP_UMEM_TX_METADATA_LEN, metadata
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// mmapOffsets asks where in their mappings the parts of the four rings lie.
func mmapOffsets(fd int) (unix.XDPMmapOffsets, error) {
	var off unix.XDPMmapOffsets
	return off, getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off))
}

// statistics reads the socket's counters. Kernels before 5.9 fill in the first three only.
func statistics(fd int) (unix.XDPStatistics, error) {
	var st unix.XDPStatistics
	return st, getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st))
}

// options reads XDP_OPTIONS, which tells whether the socket is bound for zero-copy.
func options(fd int) (uint32, error) {
	var opt uint32
	return opt, getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&opt), unsafe.Sizeof(opt))
}

func getsockopt(fd, name int, val unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(name),
		uintptr(val), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

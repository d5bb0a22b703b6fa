package mirror

import (
	"fmt"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// New makes a ring's memfd with at least size bytes for records (one power of two), sealed so that it never shrinks. Packets are cut
// to snap bytes.
func New(size, snap int) (fd int, err error) {
	data := 1 << bits.Len(uint(max(size, 1<<16)-1))
	fd, err = unix.MemfdCreate("sluice-mirror", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("mirror: %w", err)
	}
	if err = unix.Fchmod(fd, 0o600); err == nil {
		err = unix.Ftruncate(fd, int64(headerSize+data))
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	var mem []byte
	if err == nil {
		mem, err = mapRing(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("mirror: %w", err)
	}
	h := headerOf(mem)
	h.magic, h.version, h.size, h.snap = magic, version, uint64(data), uint32(snap)
	return fd, unix.Munmap(mem)
}

func mapRing(fd int) ([]byte, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, fmt.Errorf("mirror: no sealed memfd")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if data := st.Size - headerSize; data < 1<<16 || data&(data-1) != 0 || data > 1<<32 {
		return nil, fmt.Errorf("mirror: %d bytes", st.Size)
	}
	return unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func headerOf(mem []byte) *header { return (*header)(unsafe.Pointer(unsafe.SliceData(mem))) }

// OpenWriter maps the engine's end of a ring; the descriptor stays the caller's.
func OpenWriter(fd int) (*Writer, error) {
	mem, err := mapRing(fd)
	if err != nil {
		return nil, err
	}
	h := headerOf(mem)
	if err := h.check(mem); err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	return &Writer{mem: mem, h: h, data: mem[headerSize:], head: h.head.Load(), tail: h.tail.Load(), snap: int(min(h.snap, 1<<16))}, nil
}

// Close unmaps it.
func (w *Writer) Close() error { return unix.Munmap(w.mem) }

// OpenReader maps the other end; the descriptor stays the caller's.
func OpenReader(fd int) (*Reader, error) {
	mem, err := mapRing(fd)
	if err != nil {
		return nil, err
	}
	h := headerOf(mem)
	if err := h.check(mem); err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	return &Reader{mem: mem, h: h, data: mem[headerSize:], tail: h.tail.Load()}, nil
}

// Close unmaps it.
func (r *Reader) Close() error { return unix.Munmap(r.mem) }

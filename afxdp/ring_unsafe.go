package afxdp

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping is the shared memory of one ring.
type mapping struct {
	mem    []byte
	layout Ring
	empty  []byte // as many pages for when it is gone, if somebody may look at the indexes without asking: see RXRing, TXRing
}

// watch takes those pages while it can: later the process may not be allowed to map any (RLIMIT_AS), and would keep the socket.
func (m *mapping) watch() (err error) {
	m.empty, err = unix.Mmap(-1, 0, len(m.mem), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	return err
}

// retire lets go of the socket's memory but puts the empty pages in its place, on which both indexes read 0 for ever.
func (m mapping) retire() error {
	size := uintptr(len(m.mem))
	_, err := unix.MremapPtr(unsafe.Pointer(&m.empty[0]), size, unsafe.Pointer(&m.mem[0]), size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED)
	return err
}

// mapRing maps one ring of the socket fd; pgoff is XDP_PGOFF_* of its kind.
func mapRing[T any](fd int, pgoff int64, r Ring) (mapping, error) {
	var zero T
	size, align := uint64(unsafe.Sizeof(zero)), uint64(unsafe.Alignof(zero))
	if r.Entries == 0 || r.Entries&(r.Entries-1) != 0 || r.Entries > maxEntries {
		return mapping{}, fmt.Errorf("ring of %d entries", r.Entries)
	}
	// The layout comes from another process: what it says must lie inside one small mapping.
	const limit = 1 << 16
	if r.Producer%4 != 0 || r.Consumer%4 != 0 || r.Flags%4 != 0 || r.Desc%align != 0 ||
		r.Producer > r.Desc-4 || r.Consumer > r.Desc-4 || r.Flags > r.Desc-4 || r.Desc < 12 || r.Desc > limit {
		return mapping{}, fmt.Errorf("ring layout %+v is not sound", r)
	}
	mem, err := unix.Mmap(fd, pgoff, int(r.Desc+uint64(r.Entries)*size),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return mapping{}, err
	}
	// A forked child must not keep the socket alive: the queue could not be given to anybody else.
	if err := unix.Madvise(mem, unix.MADV_DONTFORK); err != nil {
		_ = unix.Munmap(mem)
		return mapping{}, err
	}
	return mapping{mem: mem, layout: r}, nil
}

func (m mapping) index(off uint64) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&m.mem[off]))
}

func entriesOf[T any](m mapping) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(&m.mem[m.layout.Desc])), m.layout.Entries)
}

// newProducer takes a ring up where it was left, so that a second process can map it after the
// first.
func newProducer[T any](m mapping) producer[T] {
	p := producer[T]{
		shared:  m.index(m.layout.Producer),
		peer:    m.index(m.layout.Consumer),
		flags:   m.index(m.layout.Flags),
		entries: entriesOf[T](m),
	}
	p.head, p.tail = p.shared.Load(), p.peer.Load()
	return p
}

func newConsumer[T any](m mapping) consumer[T] {
	c := consumer[T]{
		shared:  m.index(m.layout.Consumer),
		peer:    m.index(m.layout.Producer),
		entries: entriesOf[T](m),
	}
	c.head, c.tail = c.peer.Load(), c.shared.Load()
	return c
}

// RXRing returns where the kernel's producer index and our consumer index of the RX ring are
// mapped, each 32 bits wide. They differ when packets wait, which a spinner can see without any
// call. They may be read for ever: after Close both are 0.
func (v *VI) RXRing() (producer, consumer unsafe.Pointer) {
	return unsafe.Pointer(v.rx.peer), unsafe.Pointer(v.rx.shared)
}

// RXDescs returns where the RX ring's descriptors (struct xdp_desc) are mapped, and how many there are. They may be read for ever.
func (v *VI) RXDescs() (descs unsafe.Pointer, entries uint32) {
	return unsafe.Pointer(unsafe.SliceData(v.rx.entries)), uint32(len(v.rx.entries))
}

// TXDescs returns where the TX ring's descriptors are mapped, and how many there are. They may be written while nothing of ours waits for
// Flush, and only until Close.
func (v *VI) TXDescs() (descs unsafe.Pointer, entries uint32) {
	return unsafe.Pointer(unsafe.SliceData(v.tx.entries)), uint32(len(v.tx.entries))
}

// TXRing returns where our producer index, the kernel's consumer index and the flags of the TX ring are mapped, each 32
// bits wide. The kernel has to be woken (sendto on FD with nothing in it) when the indexes differ and bit 0 of the flags,
// XDP_RING_NEED_WAKEUP, is set. They may be read for ever: after Close all are 0.
func (v *VI) TXRing() (producer, consumer, flags unsafe.Pointer) {
	return unsafe.Pointer(v.tx.shared), unsafe.Pointer(v.tx.peer), unsafe.Pointer(v.tx.flags)
}

// Package hugepages asks for huge pages below what Go's heap holds much of.
//
// A segment touches some thirty cache lines on three or four pages: of its connection, its congestion control, the table's slot. Of 100,000 connections
// those pages are in no TLB, and finding them costs as much as the lines do. Where /sys/kernel/mm/transparent_hugepage/enabled says "always" the heap has
// huge pages anyway; where it says "madvise", as on Debian, somebody has to ask; where it says "never" asking does nothing.
package hugepages

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// chunk is what Go's heap grows by, at addresses that are multiples of it (pallocChunkBytes in the runtime): around an object of the heap so much is mapped.
const chunk = 4 << 20

// reach is how far apart objects of one arena lie at most: Go's heap grows upwards from where it began, unless something else is there.
const reach = 256 << 20

// Heap remembers where huge pages were asked for. The zero value is ready; it is for one thread.
type Heap struct {
	lo, hi uintptr
}

// Empty says that nothing was asked for yet.
func (h *Heap) Empty() bool { return h.hi == 0 }

// Below asks for huge pages for all of the heap from the lowest object it was called with to the highest, p being one of them. What is there already becomes
// one when khugepaged comes by, what comes later is one at once. It is no error if the kernel will not.
func Below[T any](h *Heap, p *T) {
	lo := uintptr(unsafe.Pointer(p)) &^ (chunk - 1)
	hi := lo + chunk
	switch {
	case h.Empty(), lo > h.hi+reach, hi+reach < h.lo: // another arena: what lies between is not ours
		h.lo, h.hi = lo, hi
	case lo < h.lo:
		hi, h.lo = h.lo, lo
	case hi > h.hi:
		lo, h.hi = h.hi, hi
	default:
		return
	}
	_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, lo, hi-lo, unix.MADV_HUGEPAGE)
}

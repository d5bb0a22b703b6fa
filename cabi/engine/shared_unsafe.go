package engine

import (
	"unsafe"

	"github.com/sluice-net/sluice/afxdp"
)

// setRing shows a receive ring to the C side's spinner.
func (s *Shared) setRing(i int, v *afxdp.VI) {
	prod, cons := v.RXRing()
	s.Ring[i].Cons.Store(uintptr(cons))
	s.Ring[i].Prod.Store(uintptr(prod))
	if n := uint32(i) + 1; s.Rings.Load() < n {
		s.Rings.Store(n)
	}
}

// clearRing shows two words that never differ instead: one and the same.
func (s *Shared) clearRing(i int) {
	never := uintptr(unsafe.Pointer(&s.WakeFD))
	s.Ring[i].Prod.Store(never)
	s.Ring[i].Cons.Store(never)
}

// SharedAt is the shared memory at an address that C allocated.
func SharedAt(p unsafe.Pointer) *Shared { return (*Shared)(p) }

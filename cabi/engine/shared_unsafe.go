package engine

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/afxdp"
)

// setRing shows a queue's rings to the C side, which spins on one and kicks the other.
func (s *Shared) setRing(i int, v *afxdp.VI, mem []byte) {
	prod, cons := v.RXRing()
	r := &s.Ring[i]
	desc, entries := v.RXDescs()
	r.Frames.Store(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))
	r.Mask.Store(entries - 1)
	r.Desc.Store(uintptr(desc))
	r.Cons.Store(uintptr(cons))
	r.Prod.Store(uintptr(prod))
	prod, cons, flags := v.TXRing()
	r.TxFlags.Store(uintptr(flags))
	r.TxCons.Store(uintptr(cons))
	r.TxProd.Store(uintptr(prod))
	desc, entries = v.TXDescs()
	r.TxMask.Store(entries - 1)
	r.TxDesc.Store(uintptr(desc))
	r.TxFD.Store(int32(v.FD()))
	if n := uint32(i) + 1; s.Rings.Load() < n {
		s.Rings.Store(n)
	}
	s.RingChanges.Add(1)
}

// clearRing shows words that never differ instead, one and the same, and waits for the end of kicks under way.
func (s *Shared) clearRing(i int) {
	r, never := &s.Ring[i], uintptr(unsafe.Pointer(&s.WakeFD))
	for _, p := range []*atomic.Uintptr{&r.Prod, &r.Cons, &r.TxProd, &r.TxCons} {
		p.Store(never)
	}
	r.TxFD.Store(-1)
	s.RingChanges.Add(1)
	for r.Kickers.Load() != 0 {
		runtime.Gosched()
	}
}

// SharedAt is the shared memory at an address that C allocated.
func SharedAt(p unsafe.Pointer) *Shared { return (*Shared)(p) }

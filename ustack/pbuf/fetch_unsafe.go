package pbuf

import "unsafe"

// Fetch begins to bring what p points at into the nearest cache. It waits for nothing: whoever needs the memory some 100 ns later finds
// it there. p may be nil, or point to what is no longer used.
func Fetch[T any](p *T) { fetch(unsafe.Pointer(p), unsafe.Sizeof(*p)) }

// Fetch begins to bring in what is written when the frame is sent: its headers and the first bytes.
func (b *Buf) Fetch() {
	fetch(unsafe.Pointer(&b.pool.mem[int(b.Index)*b.pool.size+Headroom/2]), 2*Headroom)
}

package afxdp

import "sync/atomic"

// The four rings share one shape: a power-of-two array of entries between two free-running 32-bit
// indices, each written by one side only.
//
//	        consumer                 producer
//	           ▼                        ▼
//	 ┌───┬───┬───┬───┬───┬───┬───┬───┬───┬───┐
//	 │   │   │ x │ x │ x │ x │ x │ x │   │   │   entry of index i: entries[i & mask]
//	 └───┴───┴───┴───┴───┴───┴───┴───┴───┴───┘
//
// The indices wrap at 2^32, never at the size of the ring, so producer-consumer is the number of
// entries in use and a full ring differs from an empty one.

// desc is one entry of the RX and TX rings (struct xdp_desc). The other two hold bare addresses.
type desc struct {
	addr    uint64
	len     uint32
	options uint32
}

// producer is the writing end of a ring.
type producer[T any] struct {
	shared  *atomic.Uint32 // our index, as the kernel sees it
	peer    *atomic.Uint32 // the kernel's index
	flags   *atomic.Uint32
	entries []T
	head    uint32 // our index, of which the kernel knows up to *shared
	// tail is the kernel's index when we last looked. It only ever lags, so the ring has at
	// least as much room as it says, and the shared cache line is touched only if that is
	// too little.
	tail uint32
}

// resume goes on behind what another producer of the same process has published.
func (p *producer[T]) resume() { p.head = p.shared.Load() }

// room says for how many of n entries there is room.
func (p *producer[T]) room(n uint32) uint32 {
	size := uint32(len(p.entries))
	free := size - (p.head - p.tail)
	if free < n {
		p.tail = p.peer.Load()
		free = size - (p.head - p.tail)
	}
	return min(n, free)
}

// push writes one entry, for which room was found before.
func (p *producer[T]) push(v T) {
	p.entries[p.head&uint32(len(p.entries)-1)] = v
	p.head++
}

// publish shows the kernel all that was pushed.
func (p *producer[T]) publish() { p.shared.Store(p.head) }

// idle says that the kernel has taken all that was published.
func (p *producer[T]) idle() bool { return p.peer.Load() == p.shared.Load() }

// needWakeup says that the kernel will not look at the ring by itself.
func (p *producer[T]) needWakeup() bool { return p.flags.Load()&1 != 0 } // XDP_RING_NEED_WAKEUP

// consumer is the reading end of a ring.
type consumer[T any] struct {
	shared  *atomic.Uint32 // our index, as the kernel sees it
	peer    *atomic.Uint32 // the kernel's index
	entries []T
	tail    uint32 // our index
	head    uint32 // the kernel's index when we last looked; it only ever lags
}

// ready says how many of n entries can be taken.
func (c *consumer[T]) ready(n uint32) uint32 {
	have := c.head - c.tail
	if have < n {
		c.head = c.peer.Load()
		have = c.head - c.tail
	}
	return min(n, have)
}

// pop takes one entry that was ready.
func (c *consumer[T]) pop() T {
	v := c.entries[c.tail&uint32(len(c.entries)-1)]
	c.tail++
	return v
}

// back returns the n entries that were popped last, before release.
func (c *consumer[T]) back(n int) { c.tail -= uint32(n) }

// release gives the kernel the room of all that was popped.
func (c *consumer[T]) release() { c.shared.Store(c.tail) }

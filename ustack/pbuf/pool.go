// Package pbuf keeps the frames of registered memory: who holds one, which bytes of it are valid, and which are free.
//
// Memory is cut into frames of one size; a frame is named by its index, which is also what the rings of a device
// carry. One frame holds one packet:
//
//	0        Start            End       FrameSize
//	| headroom | valid bytes   | free    |
//
// Everything runs in one thread (run to completion), so counts are plain integers.
package pbuf

// Pool is free frames over one piece of memory. It allocates at New and never again.
//
// Those that brought a packet in lie on a stack of their own: they go back to a receive ring, and what is sent is written to
// frames that were sent last. Each kind stays in the cache so, as far as it can.
type Pool struct {
	mem     []byte
	size    int
	bufs    []Buf
	free    []uint32
	arrived []uint32 // free ones that came in last
	reserve int
	rx      int // frames that came in and are held since

	unsummed bool
}

// New cuts mem into frames of frameSize bytes; a rest that fills no frame is left unused.
func New(mem []byte, frameSize int) *Pool {
	n := len(mem) / frameSize
	p := &Pool{mem: mem, size: frameSize, bufs: make([]Buf, n), free: make([]uint32, n), arrived: make([]uint32, 0, n)}
	for i := range p.bufs {
		p.bufs[i] = Buf{Index: uint32(i), pool: p}
		p.free[i] = uint32(n - 1 - i) // so that frame 0 goes out first
	}
	return p
}

// SetReserve keeps n frames back from Get: they are for GetReserved (receive rings and pure ACKs), so that a program
// which queues more than memory holds cannot stop the ACKs that would free it.
func (p *Pool) SetReserve(n int) { p.reserve = n }

// LeaveSums says that devices finish checksums, so that bytes to be sent need not be summed while they are copied in.
func (p *Pool) LeaveSums(leave bool) { p.unsummed = leave }

// Get takes a frame for payload, with one reference and no valid bytes; nil when only the reserve is left.
func (p *Pool) Get() *Buf {
	if p.Free() <= p.reserve {
		return nil
	}
	return p.pop(&p.free, &p.arrived)
}

// GetReserved takes a frame down to the last one; nil when the pool is empty.
func (p *Pool) GetReserved() *Buf {
	return p.pop(&p.free, &p.arrived)
}

// GetToReceive is GetReserved for a receive ring.
func (p *Pool) GetToReceive() *Buf { return p.pop(&p.arrived, &p.free) }

// pop takes from the one stack, or else from the other; nil when both are empty.
func (p *Pool) pop(from, or *[]uint32) *Buf {
	n := len(*from)
	if n == 0 {
		if from, n = or, len(*or); n == 0 {
			return nil
		}
	}
	b := &p.bufs[(*from)[n-1]]
	*from = (*from)[:n-1]
	b.refs, b.Start, b.End, b.Next, b.InFlight, b.SumEnd, b.rx = 1, 0, 0, nil, false, 0, false
	return b
}

// Free is the number of frames nobody holds, the reserve included.
func (p *Pool) Free() int { return len(p.free) + len(p.arrived) }

// Available is the number of frames Get would still give.
func (p *Pool) Available() int { return max(p.Free()-p.reserve, 0) }

// Received is the number of frames that hold received bytes: in receive queues, or being looked at.
func (p *Pool) Received() int { return p.rx }

// Len is the number of frames in all.
func (p *Pool) Len() int { return len(p.bufs) }

// FrameSize is the size of a frame in bytes.
func (p *Pool) FrameSize() int { return p.size }

// At is the frame of that index, held or not. The index must be below Len.
func (p *Pool) At(index uint32) *Buf { return &p.bufs[index] }

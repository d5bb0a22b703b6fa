package pbuf

// Headroom is left in front of a payload that will be sent: 24 (efvi.SumRoom) + 18 (Ethernet with a tag) + 40 (IPv6) + 60 (TCP with
// all options) = 142, rounded up.
const Headroom = 144

// Buf is one frame and what is known about its bytes.
type Buf struct {
	Index      uint32
	Start, End uint16 // the valid bytes are Frame()[Start:End]
	// Sum is the ones' complement sum of Frame()[Start:SumEnd], computed while the bytes were copied in;
	// SumEnd is 0 when no sum is known.
	Sum, SumEnd uint16
	InFlight    bool   // queued in a TX ring: the bytes must stay as they are until the device gives the frame back
	rx          bool   // counted in Pool.Received
	refs        uint16 // two Bufs to a cache line
	Next        *Buf   // link of whichever queue holds the frame
	pool        *Pool
}

// Frame is the whole frame.
func (b *Buf) Frame() []byte {
	at := int(b.Index) * b.pool.size
	return b.pool.mem[at : at+b.pool.size : at+b.pool.size]
}

// Unsummed says that nobody needs Sum: see Pool.LeaveSums.
func (b *Buf) Unsummed() bool { return b.pool.unsummed }

// Bytes are the valid bytes.
func (b *Buf) Bytes() []byte { return b.Frame()[b.Start:b.End] }

// Len is the number of valid bytes.
func (b *Buf) Len() int { return int(b.End) - int(b.Start) }

// Ref takes one more reference.
func (b *Buf) Ref() { b.refs++ }

// Refs is the number of references.
func (b *Buf) Refs() int { return int(b.refs) }

// Release gives one reference back; the last one returns the frame to its pool.
func (b *Buf) Release() {
	if b.refs--; b.refs == 0 {
		b.Next = nil
		if b.rx {
			b.rx = false
			b.pool.rx--
			b.pool.arrived = append(b.pool.arrived, b.Index)
			return
		}
		b.pool.free = append(b.pool.free, b.Index)
		b.Fetch() // it is the next one to be written to
	}
}

// MarkReceived counts the frame in Pool.Received until its last Release.
func (b *Buf) MarkReceived() {
	if !b.rx {
		b.rx = true
		b.pool.rx++
	}
}

package tcp

import (
	"math/bits"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// The payload of a record lies in one frame, or in several if the MTU is larger than what one holds. Each but the last is full:
//
//	buf                    buf.Next               buf.Next.Next
//	| headroom | payload | | headroom | payload | | headroom | payload | free |
//	           off       frameEnd                                      off+n in all
//
// How many there are follows from off and n, so that two records may share the frame in which one ends and the next begins.

const (
	frameEnd   = 4096
	maxParts   = 3                        // efvi.MaxParts
	maxPartsIn = 18                       // efvi.MaxPartsIn
	onePayload = frameEnd - pbuf.Headroom // what one frame holds
	maxPayload = maxParts * onePayload
)

// PayloadFrames is in how many frames n bytes lie that begin at off of the first one.
func PayloadFrames(off, n int) int {
	if over := off + n - frameEnd; over > 0 {
		return 1 + (over+onePayload-1)/onePayload
	}
	return 1
}

func (r *txRec) frames() int {
	if r.buf == nil {
		return 0
	}
	return PayloadFrames(int(r.off), int(r.n))
}

// piece is the payload from byte at on, as far as it lies in one frame.
func (r *txRec) piece(at int) []byte {
	b, from, end := r.buf, int(r.off)+at, int(r.off+r.n)
	for from >= frameEnd {
		b, from, end = b.Next, from-onePayload, end-onePayload
	}
	return b.Frame()[from:min(end, frameEnd)]
}

// inFlight says whether a device has a frame of the record.
func (r *txRec) inFlight() bool {
	b := r.buf
	for n := r.frames(); n > 0; n-- {
		if b.InFlight {
			return true
		}
		b = b.Next
	}
	return false
}

// release gives all frames back.
func (r *txRec) release() {
	b := r.buf
	for n := r.frames(); n > 0; n-- {
		next := b.Next
		b.Release()
		b = next
	}
	r.buf = nil
}

// skip drops the first n bytes, of which there are as many.
func (r *txRec) skip(n int) {
	left, at := int(r.n)-n, int(r.off)+n
	for at > frameEnd || at == frameEnd && left > 0 {
		next := r.buf.Next
		r.buf.Release()
		r.buf, at = next, at-onePayload
	}
	r.seq, r.off, r.n = r.seq.Add(n), uint16(at), uint16(left)
	r.buf.SumEnd = 0 // the frame starts where it did: it is copied when it is sent
}

// fill copies as much of b as fits behind the record's payload, up to limit bytes of payload in all, and keeps the
// checksum of each frame's, which is summed on the way. It takes further frames as it needs them; there may be none.
func (m *SendMem) fill(r *txRec, b []byte, limit int) (done int) {
	last, at := r.buf, int(r.off+r.n)
	for n := r.frames(); n > 1; n-- {
		last, at = last.Next, at-onePayload
	}
	for {
		n := min(limit-int(r.n), len(b)-done, frameEnd-at)
		if n > 0 {
			put(last, at, b[done:done+n], r.n == 0)
			r.n += uint16(n)
			done, at = done+n, at+n
		}
		if done == len(b) || int(r.n) >= limit || r.frames() == maxParts {
			return done
		}
		f := m.Pool.Get()
		if f == nil {
			return done
		}
		last.Next, last, at = f, f, pbuf.Headroom
		f.Start, f.End = pbuf.Headroom, pbuf.Headroom
	}
}

// put copies p to at in a frame, behind what it holds already; first says that it holds nothing.
func put(f *pbuf.Buf, at int, p []byte, first bool) {
	first = first || at == pbuf.Headroom
	dst := f.Frame()[at : at+len(p)]
	if first {
		f.Start = uint16(at)
	}
	end := uint16(at + len(p))
	if f.Unsummed() {
		copy(dst, p)
		f.End, f.SumEnd = end, 0
		return
	}
	sum := wire.CopySum(dst, p)
	if (at-int(f.Start))&1 != 0 { // the piece begins in the middle of a 16-bit word: RFC 1071 §2(B), swapped bytes
		sum = bits.ReverseBytes16(sum)
	}
	if first {
		f.Sum, f.SumEnd = sum, end
	} else if f.SumEnd != 0 {
		f.Sum, f.SumEnd = wire.Add(f.Sum, sum), end
	}
	f.End = end
}

// moveEnd copies what lies behind the first at bytes of r to frames of x, and gives r's back that it leaves empty. False: there are not
// enough frames.
func (m *SendMem) moveEnd(r, x *txRec, at int) bool {
	n := int(x.n)
	if m.Pool.Available() < PayloadFrames(pbuf.Headroom, n) {
		return false
	}
	x.buf, x.off, x.n = m.Pool.Get(), pbuf.Headroom, 0
	for int(x.n) < n {
		m.fill(x, r.piece(at+int(x.n)), n)
	}
	keep := PayloadFrames(int(r.off), at)
	b := r.buf
	for i := 1; i <= r.frames(); i++ {
		next := b.Next
		if i == keep {
			b.End = uint16(int(r.off) + at - (keep-1)*onePayload)
		} else if i > keep {
			b.Release()
		}
		b = next
	}
	return true
}

// shareEnd gives x the frames that lie behind the first at bytes of r, and the one that they end in to both.
func (r *txRec) shareEnd(x *txRec, at int) {
	b, off := r.buf, int(r.off)+at
	for off >= frameEnd {
		b, off = b.Next, off-onePayload
	}
	if PayloadFrames(int(r.off), at) == r.frames()-PayloadFrames(off, int(x.n))+1 {
		b.Ref()
	}
	x.buf, x.off = b, uint16(off)
}

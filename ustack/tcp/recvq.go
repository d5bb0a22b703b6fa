package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// recvQueue holds received bytes in order, in the frames they came in. A frame's Start moves as the program reads.
//
//	head -> [....bytes....] -> [..bytes..] -> tail
//	         ^ the byte numbered Conn.copied
type recvQueue struct {
	head, tail *pbuf.Buf
	bytes      int
	frames     int32
}

// push takes the caller's reference to b.
func (q *recvQueue) push(b *pbuf.Buf) {
	b.Next = nil
	if q.tail == nil {
		q.head = b
	} else {
		q.tail.Next = b
	}
	q.tail = b
	q.bytes += b.Len()
	q.frames++
}

// merge copies p behind the last frame's bytes when it fits there, so that small segments don't hold a frame each.
func (q *recvQueue) merge(p []byte) bool {
	b := q.tail
	if b == nil || b.Refs() != 1 {
		return false
	}
	f := b.Frame()
	if int(b.End)+len(p) > len(f) {
		return false
	}
	b.End += uint16(copy(f[b.End:], p))
	q.bytes += len(p)
	return true
}

// skip drops n bytes from the front; n is at most bytes.
func (q *recvQueue) skip(n int) {
	q.bytes -= n
	for n > 0 {
		b := q.head
		if l := b.Len(); n < l {
			b.Start += uint16(n)
			return
		} else {
			n -= l
		}
		q.pop()
	}
}

func (q *recvQueue) pop() {
	b := q.head
	if q.head = b.Next; q.head == nil {
		q.tail = nil
	}
	q.frames--
	b.Release()
}

// copy copies bytes [from, from+n) of the queue into iov behind the first at bytes of it.
func (q *recvQueue) copy(iov [][]byte, at, from, n int) {
	b := q.head
	for ; from > 0 && from >= b.Len(); b = b.Next {
		from -= b.Len()
	}
	for n > 0 {
		src := b.Bytes()[from:]
		src = src[:min(len(src), n)]
		scatter(iov, at, src)
		at += len(src)
		n -= len(src)
		from, b = 0, b.Next
	}
}

// drop forgets everything.
func (q *recvQueue) drop() {
	for q.head != nil {
		q.pop()
	}
	q.bytes = 0
}

// scatter copies src into iov behind its first at bytes.
func scatter(iov [][]byte, at int, src []byte) {
	for _, v := range iov {
		if at >= len(v) {
			at -= len(v)
			continue
		}
		src = src[copy(v[at:], src):]
		if at = 0; len(src) == 0 {
			return
		}
	}
}

// take makes the queue own segment data p, which lies in frame b (or nowhere: b nil). It says false when there is no
// frame for it.
func (c *Conn) take(b *pbuf.Buf, p []byte) *pbuf.Buf {
	if b == nil {
		if b = c.h.Pool.Get(); b == nil {
			return nil
		}
		b.Start = pbuf.Headroom
		b.End = b.Start + uint16(copy(b.Frame()[pbuf.Headroom:], p))
		return b
	}
	b.Ref()
	b.Start = b.End - uint16(len(p)) // p is the rest of the frame's bytes after trimming at the front
	return b
}

// smallSegment is the payload below which copying costs less than holding a whole frame.
const smallSegment = 256

// enqueue puts in-order data of a segment behind the queue. It says false when there was no memory for it.
func (c *Conn) enqueue(b *pbuf.Buf, p []byte) bool {
	if len(p) <= smallSegment || c.crowded() {
		if c.rq.merge(p) {
			c.h.MIB.TCPRcvCoalesce++
			return true
		}
	}
	b = c.take(b, p)
	if b == nil {
		return false
	}
	c.rq.push(b)
	return true
}

// enqueueFrom is enqueue of a segment's payload from octet at on.
func (c *Conn) enqueueFrom(s *Segment, at int) bool {
	if s.More == 0 {
		return c.enqueue(s.Buf, s.Payload[at:])
	}
	if at < len(s.Payload) && !c.enqueue(s.Buf, s.Payload[at:]) {
		return false
	}
	at = max(at-len(s.Payload), 0)
	for _, b := range s.Rest { // each has a frame: this cannot fail
		if n := b.Len(); at < n {
			c.enqueue(b, b.Bytes()[at:])
			at = 0
		} else {
			at -= n
		}
	}
	return true
}

// crowded says whether the connection holds more frames than its receive buffer pays for. A buffer of n bytes offers
// half of it as window (see window.go), and full frames are about a third full.
func (c *Conn) crowded() bool {
	return int(c.rq.frames)*c.h.Pool.FrameSize() > 2*max(c.win.buf, 16384)
}

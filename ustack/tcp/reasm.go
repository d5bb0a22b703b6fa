package tcp

import (
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// reassembly holds data that came before its turn, as runs without a hole inside, in order:
//
//	rcvNxt   runs[0]       runs[1]
//	---|      [=====]       [==]           [==========]
//
// "Segments with higher beginning sequence numbers SHOULD be held for later processing" RFC 9293 §3.10.7.4. Runs are few as
// long as holes are; finding one costs a binary search, so that hostile segments cost bounded work.
type reassembly struct {
	runs   []run
	frames int
	recent [wire.MaxSACK]Seq // a number in each of the runs that changed last, newest first
	nrec   int

	comp sackComp // ACKs held back

	fin    bool // the FIN came before the data in front of it
	finSeq Seq
}

// run is data [seq, end) in the frames from head to tail, each of which begins where the one before ends.
type run struct {
	seq, end   Seq
	head, tail *pbuf.Buf
}

// maxRuns bounds the holes: beyond, the highest run is given up for a lower one, as the kernel prunes.
const maxRuns = 256

// newReassembly takes an empty reassembly; they are used again, so that a path that reorders costs no memory.
func (h *Host) newReassembly() *reassembly {
	n := len(h.ooo)
	if n == 0 {
		return &reassembly{runs: make([]run, 0, 4)}
	}
	r := h.ooo[n-1]
	h.ooo = h.ooo[:n-1]
	return r
}

// keptReassemblies bounds those kept for later.
const keptReassemblies = 64

// freeReassembly gives back one that holds nothing.
func (c *Conn) freeReassembly() {
	r := c.ooo
	c.ooo = nil
	if r != nil && len(c.h.ooo) < keptReassemblies {
		*r = reassembly{runs: r.runs[:0]}
		c.h.ooo = append(c.h.ooo, r)
	}
}

// queueAhead keeps the payload of a segment above rcvNxt, and says whether any of it was kept.
func (c *Conn) queueAhead(s *Segment) bool {
	kept := (len(s.Payload) > 0 || s.More == 0) && c.queueOOO(s.Buf, s.Payload, s.Seq)
	in, queued, dropped, seq := c.oooIn, c.h.MIB.TCPOFOQueue, c.h.MIB.TCPOFODrop, s.Seq.Add(len(s.Payload))
	for _, b := range s.Rest {
		n, known := b.Len(), c.dsack
		kept = c.queueOOO(b, b.Bytes(), seq) || kept
		if d := &c.dsack; *d != known && known.due && known.right == d.left {
			d.left = known.left
		}
		seq = seq.Add(n)
	}
	if s.More > 0 { // one segment, counted already
		c.oooIn, c.h.MIB.TCPOFOQueue, c.h.MIB.TCPOFODrop = in, queued, dropped
	}
	return kept
}

// queueOOO keeps data [seq, seq+len(p)) above rcvNxt, and says whether any of it was kept.
func (c *Conn) queueOOO(b *pbuf.Buf, p []byte, seq Seq) bool {
	if c.ooo == nil {
		c.ooo = c.h.newReassembly()
	}
	r := c.ooo
	if !c.roomOOO(seq) {
		c.h.MIB.TCPOFODrop++
		return false
	}
	c.oooIn++
	c.h.MIB.TCPOFOQueue++
	end := seq.Add(len(p))
	i := r.find(seq)
	if i < len(r.runs) && r.runs[i].seq.LEQ(seq) { // begins inside of run i, or right behind it
		if end.LEQ(r.runs[i].end) { // and ends there: all of it known
			c.setDSACK(seq, end)
			r.touch(seq)
			return false
		}
		if seq.LT(r.runs[i].end) {
			c.setDSACK(seq, r.runs[i].end)
			p = p[r.runs[i].end.Sub(seq):]
			seq = r.runs[i].end
		}
		if !c.extend(&r.runs[i], b, p) {
			return false
		}
		c.absorb(i)
		r.touch(seq)
		return true
	}
	if b = c.take(b, p); b == nil {
		return false
	}
	b.Next = nil
	r.frames++
	r.insert(i, run{seq: seq, end: end, head: b, tail: b})
	c.absorb(i)
	r.touch(seq)
	return true
}

// find is the index of the first run that ends at seq or after it.
func (r *reassembly) find(seq Seq) int {
	lo, hi := 0, len(r.runs)
	for lo < hi {
		if m := (lo + hi) / 2; r.runs[m].end.LT(seq) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func (r *reassembly) insert(i int, n run) {
	r.runs = append(r.runs, run{})
	copy(r.runs[i+1:], r.runs[i:])
	r.runs[i] = n
}

func (r *reassembly) remove(i int) {
	copy(r.runs[i:], r.runs[i+1:])
	r.runs[len(r.runs)-1] = run{}
	r.runs = r.runs[:len(r.runs)-1]
}

// extend puts p, which begins at the run's end, behind it.
func (c *Conn) extend(u *run, b *pbuf.Buf, p []byte) bool {
	t := u.tail
	if len(p) <= smallSegment && t.Refs() == 1 && int(t.End)+len(p) <= c.h.Pool.FrameSize() {
		t.End += uint16(copy(t.Frame()[t.End:], p))
		u.end = u.end.Add(len(p))
		return true
	}
	if b = c.take(b, p); b == nil {
		return false
	}
	b.Next = nil
	u.tail.Next, u.tail = b, b
	u.end = u.end.Add(len(p))
	c.ooo.frames++
	return true
}

// absorb joins run i with those that begin at or before its end. What both have is reported as a duplicate and cut off
// the later one.
func (c *Conn) absorb(i int) {
	r := c.ooo
	for i+1 < len(r.runs) {
		u, v := &r.runs[i], &r.runs[i+1]
		if v.seq.GT(u.end) {
			return
		}
		if over := u.end.Sub(v.seq); over > 0 {
			c.extendDSACK(v.seq, minSeq(u.end, v.end))
			r.trim(v, over)
		}
		if v.head != nil {
			u.tail.Next, u.tail, u.end = v.head, v.tail, v.end
			c.h.MIB.TCPOFOMerge++
		}
		r.remove(i + 1)
	}
}

// trim cuts n bytes off the front of a run; a run with nothing left has no head.
func (r *reassembly) trim(u *run, n int) {
	for n > 0 && u.head != nil {
		b := u.head
		if l := b.Len(); n < l {
			b.Start += uint16(n)
			u.seq = u.seq.Add(n)
			return
		} else {
			n -= l
			u.seq = u.seq.Add(l)
		}
		u.head = b.Next
		r.frames--
		b.Release()
	}
	if u.head == nil {
		u.tail = nil
	}
}

// touch remembers where data came in last: "The first SACK block [...] MUST specify the contiguous block of data containing
// the segment which triggered this ACK" RFC 2018 §4.
func (r *reassembly) touch(seq Seq) {
	i := r.find(seq)
	if i == len(r.runs) {
		return
	}
	u := &r.runs[i]
	n, news := 0, uint8(1)
	keep := [wire.MaxSACK]Seq{u.seq}
	for i, s := range r.recent[:r.nrec] {
		if n+1 < len(keep) && (s.LT(u.seq) || s.GEQ(u.end)) {
			n++
			keep[n] = s
			if i < int(r.comp.news) {
				news++
			}
		}
	}
	r.recent, r.nrec, r.comp.news = keep, n+1, news
}

// deliver moves what has become in order to the receive queue, and says whether holes remain.
func (c *Conn) deliver() {
	r := c.ooo
	for len(r.runs) > 0 && r.runs[0].seq.LEQ(c.rcvNxt) {
		u := &r.runs[0]
		if over := c.rcvNxt.Sub(u.seq); over > 0 {
			c.extendDSACK(u.seq, minSeq(c.rcvNxt, u.end))
			r.trim(u, over)
		}
		for b := u.head; b != nil; {
			next := b.Next
			r.frames--
			n := b.Len()
			if n <= smallSegment && c.rq.merge(b.Bytes()) {
				b.Release()
			} else {
				c.rq.push(b)
			}
			c.advance(n)
			b = next
		}
		r.remove(0)
	}
	if len(r.runs) == 0 && !r.fin {
		c.freeReassembly()
	}
}

// roomOOO says whether data at seq may be kept: not when this connection or all of them hold too many frames already.
// Then the highest run goes first, if it is above seq: "the data receiver is permitted to discard data in its queue
// that has not been acknowledged" RFC 2018 §8.
func (c *Conn) roomOOO(seq Seq) bool {
	r := c.ooo
	for c.starved() || len(r.runs) >= maxRuns ||
		(int(c.rq.frames)+r.frames)*c.h.Pool.FrameSize() > 4*max(c.win.buf, 16384) {
		n := len(r.runs) - 1
		if n < 0 || r.runs[n].seq.LEQ(seq) {
			return false
		}
		c.h.MIB.OfoPruned++
		r.free(n)
	}
	return true
}

// free gives a run up.
func (r *reassembly) free(i int) {
	r.trim(&r.runs[i], r.runs[i].end.Sub(r.runs[i].seq))
	r.remove(i)
}

// dropReassembly gives all runs up.
func (c *Conn) dropReassembly() {
	for c.ooo != nil && len(c.ooo.runs) > 0 {
		c.ooo.free(len(c.ooo.runs) - 1)
	}
	c.freeReassembly()
}

// sackBlocks fills the SACK option: the duplicate, if one is to be reported, then the runs that changed last. At most
// room blocks.
func (c *Conn) sackBlocks(o *wire.TCPOptions, room int) {
	n := 0
	if c.dsack.due && room > 0 {
		o.SACK[0] = wire.SACKBlock{Left: uint32(c.dsack.left), Right: uint32(c.dsack.right)}
		n = 1
	}
	if r := c.ooo; r != nil {
		if n == 1 && room > 1 {
			n += r.around(&c.dsack, &o.SACK[1])
		}
		for _, s := range r.recent[:r.nrec] {
			i := r.find(s.Add(1))
			if n >= room {
				break
			}
			if i < len(r.runs) && r.runs[i].seq.LEQ(s) && !listed(o.SACK[:n], r.runs[i].seq, c.dsack.due) {
				o.SACK[n] = wire.SACKBlock{Left: uint32(r.runs[i].seq), Right: uint32(r.endWithFIN(i))}
				n++
			}
		}
		if n < room && r.fin && (len(r.runs) == 0 || r.runs[len(r.runs)-1].end != r.finSeq) {
			o.SACK[n] = wire.SACKBlock{Left: uint32(r.finSeq), Right: uint32(r.finSeq + 1)}
			n++
		}
	}
	o.NSACK = uint8(n)
}

// endWithFIN is the end of a run in sequence space, which the FIN is part of.
func (r *reassembly) endWithFIN(i int) Seq {
	if r.fin && r.runs[i].end == r.finSeq {
		return r.finSeq + 1
	}
	return r.runs[i].end
}

// listed says whether the run that begins at seq is among the blocks behind the duplicate's.
func listed(blocks []wire.SACKBlock, seq Seq, dup bool) bool {
	for i, b := range blocks {
		if Seq(b.Left) == seq && !(dup && i == 0) {
			return true
		}
	}
	return false
}

package tcp

// The records in flight are a list; a SACK block names a place in it. To find that place each record has, beside its
// neighbour, an older one that it jumps to. How far depends on its place, so that a search from the newest record takes
// about the logarithm of the length (a skew-binary list, as Myers' "applicative random-access stack"):
//
//	     ┌───────────────────────────────┐
//	     ├───────────────┐               │
//	     ├───────┐       ├───────┐       │
//	a <- b <- c  d <- e  f <- g  h <- i  j      jumps; each has its left neighbour, too
//
// A record gets its jump when it is sent, behind all others; those at the front go away without notice. A jump whose
// record is gone is known by its number.

// jumps reports whether the record r would jump to is still there.
func (q *sendQueue) jumps(r *txRec) bool { return r.jump != nil && r.jumpSeq.GEQ(q.head.seq) }

// link gives a record that is sent now its jump.
func (q *sendQueue) link(r *txRec) {
	p := r.prev
	r.jump, r.jumpRank = p, 0
	if p == nil {
		return
	}
	if q.jumps(p) && p.jumpRank == p.jump.jumpRank && p.jump.jump != nil {
		r.jump, r.jumpSeq, r.jumpRank = p.jump.jump, p.jump.jumpSeq, p.jumpRank+1
		return
	}
	r.jumpSeq = p.seq
}

// linkPart gives the second part of a record that was cut its jump.
func (r *txRec) linkPart(first *txRec) { r.jump, r.jumpSeq, r.jumpRank = first, first.seq, 0 }

// find is the first sent record that ends behind seq, nil if there is none, and how many it looked at.
func (q *sendQueue) find(seq Seq) (r *txRec, looked uint64) {
	r = q.tail
	if q.unsent != nil {
		r = q.unsent.prev
	}
	if r == nil || r.end().LEQ(seq) {
		return nil, 1
	}
	for ; r.prev != nil && r.seq.GT(seq); looked++ {
		if q.jumps(r) && r.jump.end().GT(seq) {
			r = r.jump
		} else {
			r = r.prev
		}
	}
	return r, looked + 1
}

package tcp

// lostList are the records that are lost and wait to be sent again, in the order of their sequence numbers, so that the
// next one to send is the first: "there exists a smallest unSACKed sequence number 'S2' [...] S2 is greater than HighRxt"
// RFC 6675 §4.
type lostList struct {
	head, tail *txRec
	last       *txRec // where one was put last: the next one mostly belongs behind it
	n          uint32
}

// add puts r in its place and returns how many records it looked at for that.
func (l *lostList) add(r *txRec) (looked uint64) {
	at := l.last
	if at == nil || l.tail.seq.LT(r.seq) {
		at = l.tail
	}
	for ; at != nil && at.seq.GT(r.seq); looked++ {
		at = at.tprev
	}
	for ; at != nil && at.tnext != nil && at.tnext.seq.LT(r.seq); looked++ {
		at = at.tnext
	}
	l.insertAfter(at, r)
	l.last = r
	return looked
}

// insertAfter puts r behind at, nil for the front.
func (l *lostList) insertAfter(at, r *txRec) {
	r.flags |= recWaits
	r.tprev, r.tnext = at, l.head
	if at != nil {
		r.tnext = at.tnext
		at.tnext = r
	} else {
		l.head = r
	}
	if r.tnext != nil {
		r.tnext.tprev = r
	} else {
		l.tail = r
	}
	l.n++
}

// remove takes r out, if it is there: it is sent again, or was delivered.
func (l *lostList) remove(r *txRec) {
	if !r.has(recWaits) {
		return
	}
	r.flags &^= recWaits
	if l.last == r {
		l.last = r.tprev
	}
	if r.tprev != nil {
		r.tprev.tnext = r.tnext
	} else {
		l.head = r.tnext
	}
	if r.tnext != nil {
		r.tnext.tprev = r.tprev
	} else {
		l.tail = r.tprev
	}
	r.tnext, r.tprev = nil, nil
	l.n--
}

package tcp

// unmark makes what was deemed lost be in flight again: what was not sent again goes back to where it was in the order
// of transmission.
func (s *sender) unmark() {
	w := s.sb.waits
	again := s.sb.lost - w.n
	for r := s.q.young; r != nil && again > 0; r = r.tprev { // these were sent last
		s.mem.Stats.Looked++
		if r.has(recLost) {
			r.flags &^= recLost
			again--
		}
	}
	for r := w.head; r != nil; r = r.tnext {
		r.flags &^= recLost | recWaits
	}
	s.sb.lost, s.sb.waits = 0, lostList{}
	if w.n > 0 {
		s.mem.Stats.Looked += uint64(w.n)
		sorted, _ := sortByAge(w.head, int(w.n))
		s.mem.Stats.Looked += s.q.mergeByAge(sorted)
	}
}

// older is the order of transmission.
func (r *txRec) older(o *txRec) bool { return r.txAt < o.txAt || r.txAt == o.txAt && r.seq.LT(o.seq) }

// sortByAge sorts the first n records of a list linked by tnext, and returns what follows them.
func sortByAge(l *txRec, n int) (sorted, rest *txRec) {
	if n == 1 {
		rest, l.tnext = l.tnext, nil
		return l, rest
	}
	a, rest := sortByAge(l, n/2)
	b, rest := sortByAge(rest, n-n/2)
	end := &sorted
	for a != nil && b != nil {
		if b.older(a) {
			*end, b = b, b.tnext
		} else {
			*end, a = a, a.tnext
		}
		end = &(*end).tnext
	}
	if *end = a; a == nil {
		*end = b
	}
	return sorted, rest
}

// mergeByAge puts records, sorted by age, into the order of transmission.
func (q *sendQueue) mergeByAge(l *txRec) (looked uint64) {
	q.mark = nil
	at := q.old // the first that is younger
	for l != nil {
		r := l
		l = r.tnext
		for ; at != nil && at.older(r); at = at.tnext {
			looked++
		}
		r.flags |= recTimed
		r.tnext, r.tprev = at, q.young
		if at != nil {
			r.tprev, at.tprev = at.tprev, r
		} else {
			q.young = r
		}
		if r.tprev != nil {
			r.tprev.tnext = r
		} else {
			q.old = r
		}
	}
	return looked
}

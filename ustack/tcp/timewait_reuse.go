package tcp

// Busy says whether a new connection of that flow must wait. With timestamps on both sides an active open may follow
// after a while (tcp_tw_reuse_delay): the peer tells old segments by them (tcp_tw_reuse 1; the default, 2, allows it on loopback only).
func (t *TimeWaits) Busy(now int64, f *Flow) bool {
	i, ok := t.index[*f]
	if !ok {
		return false
	}
	if r := &t.recs[i]; r.state == TimeWait && r.ts && now-r.tsAt > int64(t.h.Params.TWReuseDelay) && t.mayReuse(f) {
		return false
	}
	return true
}

// reuse ends the TIME-WAIT that a new connection of the flow follows, if there is one, and gives its first number: beyond all that the old one
// used. "assigns its initial sequence number for the new connection to be larger than the largest sequence number it used on the previous
// connection incarnation" RFC 1122 §4.2.2.13
func (t *TimeWaits) reuse(now int64, f *Flow) (Seq, bool) {
	i, ok := t.index[*f]
	if !ok || t.Busy(now, f) {
		return 0, false
	}
	isn := t.recs[i].nextISN()
	t.remove(i)
	t.h.MIB.TWRecycled++
	return isn, true
}

// nextISN is never 0, which stands for none.
func (r *waiting) nextISN() Seq { return max(r.sndNxt.Add(65535+2), 1) }

func (t *TimeWaits) mayReuse(f *Flow) bool {
	switch t.h.Params.TWReuse {
	case 1:
		return true
	case 2:
		return f.Remote.Addr().IsLoopback()
	}
	return false
}

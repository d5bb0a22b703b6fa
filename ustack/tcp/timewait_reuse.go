package tcp

// Busy says whether a new connection of that flow must wait. With timestamps on both sides an active open may follow
// after a second: the peer tells old segments by them (tcp_tw_reuse 1; the default, 2, allows it on loopback only).
func (t *TimeWaits) Busy(now int64, f *Flow) bool {
	i, ok := t.index[*f]
	if !ok {
		return false
	}
	if r := &t.recs[i]; r.state == TimeWait && r.ts && now-r.tsAt > 1e9 && t.mayReuse(f) {
		return false
	}
	return true
}

func (t *TimeWaits) mayReuse(f *Flow) bool {
	switch t.h.Params.TWReuse {
	case 1:
		return true
	case 2:
		return f.Remote.Addr().IsLoopback()
	}
	return false
}

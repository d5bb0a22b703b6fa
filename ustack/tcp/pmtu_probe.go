package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// A probe is a segment larger than the MSS, made of data that was never sent, with enough behind it that its loss shows
// by SACK: "the sender SHOULD have enough data queued and sufficient receiver window to send the probe plus at least
// Tcprexmtthresh additional segments" RFC 4821 §7.4. It fails alone: "The isolated loss of a probe packet [...] is treated as
// an indication of an MTU limit, and not as a congestion indicator." §3

const probeCwnd = 11 // least window in which a probe is made, as Linux

// mtuProbe makes a probe of the next data if one is due. wait says that it is, but that nothing may leave before some of
// what is in flight has arrived.
func (s *sender) mtuProbe(now int64) (t txSeg, ok, wait bool) {
	m := &s.pmtu
	if !m.on || m.probe != 0 || s.state != caOpen || s.cwnd < probeCwnd || s.urgent {
		return
	}
	size := int(m.low+m.high) / 2
	if int(m.high)-int(m.low) < s.p.ProbeThreshold {
		s.searchAgain(now)
		return
	}
	need := size + int(s.rack.reordering+1)*s.mss
	if s.unsent() < need || s.nxt.Add(need).GT(s.wndEnd()) {
		return
	}
	if s.inFlight()+2 > s.cwnd {
		return t, false, s.inFlight() > 0
	}
	if !s.merge(size) {
		return
	}
	t = s.newSegment(s.q.unsent)
	t.mtu = true
	return t, true, false
}

// searchAgain tries a larger one once the found one has been good for long enough (RFC 4821 §7.6.3 asks for no less than five
// minutes, tcp_probe_interval is ten).
func (s *sender) searchAgain(now int64) {
	if now-s.pmtu.at >= int64(s.p.ProbeInterval) {
		s.pmtu.low, s.pmtu.high, s.pmtu.at = uint16(s.mss), s.pmtu.limit, now
	}
}

// merge makes the first unsent record one of n bytes, with those of the records behind it in a frame of its own.
func (s *sender) merge(n int) bool {
	first := s.q.unsent
	for r, have := first, 0; have < n; r = r.next {
		if r == nil || r.flags&(recSYN|recFIN) != 0 || r.buf == nil {
			return false
		}
		have += int(r.n)
	}
	if int(first.n) > n || s.mem.Pool.Available() < PayloadFrames(pbuf.Headroom, n) { // or a record of a time when the MSS was larger
		return false
	}
	x := txRec{buf: s.mem.Pool.Get(), off: pbuf.Headroom}
	s.mem.copyAll(&x, first, n)
	for int(x.n) < n {
		r := first.next
		if took := s.mem.copyAll(&x, r, n); took < int(r.n) {
			r.skip(took)
			break
		}
		first.flags |= r.flags & recPSH
		s.q.remove(r)
		s.q.charge -= r.cost() - int(r.n)
		s.mem.recycle(r)
	}
	first.release()
	first.buf, first.off, first.n = x.buf, x.off, x.n
	return true
}

// copyAll copies the payload of r behind that of x, up to n bytes in all, and says how much that was.
func (m *SendMem) copyAll(x, r *txRec, n int) (took int) {
	for took < int(r.n) && int(x.n) < n {
		took += m.fill(x, r.piece(took), n)
	}
	return took
}

// remove takes a record that was never sent, and is not the first of those, out of the queue.
func (q *sendQueue) remove(r *txRec) {
	r.prev.next = r.next
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		q.tail = r.prev
	}
}

// probeSent: the window is smaller by one while the probe is out, since it takes the place of two segments.
func (s *sender) probeSent(t *txSeg) {
	s.pmtu.probe, s.pmtu.start, s.pmtu.end = uint16(t.n), t.seq, t.end()
	s.cwnd = max(s.cwnd-1, 1)
}

// probeArrived: "When the probe is delivered, it is an indication that the Path MTU is at least as large as the probe size.
// Set search_low to the probe size." RFC 4821 §7.6.1. cwnd counts segments: it keeps its bytes.
func (s *sender) probeArrived(now int64) {
	m := &s.pmtu
	if m.probe == 0 || s.una.LT(m.end) {
		return
	}
	s.mem.Stats.MTUPSuccess++
	size := uint32(m.probe)
	s.cwnd = max((s.cwnd+1)*uint32(s.mss)/size, 1)
	s.cwndCnt, s.cwv.stamp, s.ssthresh = 0, now, s.currentSsthresh()
	m.low, m.probe = m.probe, 0
	s.syncProbing()
}

// probeLost says whether what was lost is a probe alone at the front: "When only the probe is lost, it is treated as an
// indication that the Path MTU is smaller than the probe size." RFC 4821 §7.6.2. The search goes on below it, cwnd is what it
// was, and the data is sent again in smaller pieces.
func (s *sender) probeLost(now int64) bool {
	m := &s.pmtu
	if m.probe == 0 || s.state >= caCWR || s.una != m.start || !s.q.head.has(recLost) || s.sb.lost > 1 {
		return false
	}
	m.high, m.probe = max(m.probe-1, m.low), 0
	s.mem.Stats.MTUPFail++
	s.cwnd++
	s.notCongestion()
	return true
}

package tcp

// rateSampler estimates the delivery rate as draft-cheng-iccrg-delivery-rate-estimation does: what was delivered between
// the sending of a segment and its acknowledgment, over the longer of the time it took to send it and to acknowledge it.
type rateSampler struct {
	delivered uint32 // segments delivered in all (C.delivered)
	limited   uint32 // delivered count up to which the application limits the rate, 0: it does not
	at        int64  // when that changed last (C.delivered_time)
	first     int64  // when the flight of the newest delivered segment began (C.first_sent_time)
	rate      int64  // last good sample for TCP_INFO: bytes per second

	deliveredCE uint32 // of delivered: by ACKs with ECN-Echo
	appLimited  bool   // the sample of the last ACK was
}

// rateWork is what one ACK tells, of the newest segment that it delivered.
type rateWork struct {
	priorDeliv uint32
	appLimited bool
	flight     uint16
	lost       uint16
	priorAt    int64 // 0: it delivered nothing
	sendIval   int64
	rtt        int64
}

// stamp puts the connection's state into a segment that leaves.
func (p *rateSampler) stamp(s *sender, now int64, r *txRec) {
	if s.sb.out == 0 {
		p.first, p.at = now, now
	}
	r.first, r.delivAt, r.deliv = p.first, p.at, p.delivered
	r.flight, r.lost = uint16(min(s.inFlight()+1, 1<<16-1)), uint16(s.sb.lostMarks)
	r.flags &^= recLimited
	if p.limited != 0 {
		r.flags |= recLimited
	}
}

// delivered counts a segment that was acknowledged or SACKed for the first time.
func (s *sender) delivered(a *ackWork, r *txRec) {
	s.rate.delivered++
	s.sampled(a, r)
}

// sampled takes the state that a delivered segment carries, if it is the newest that this ACK tells of.
func (s *sender) sampled(a *ackWork, r *txRec) {
	p, w := &s.rate, &a.rate
	if r.delivAt == 0 {
		return
	}
	if w.priorAt == 0 || r.deliv-w.priorDeliv < 1<<31 && (r.deliv > w.priorDeliv || r.txAt >= p.first) {
		w.priorDeliv, w.priorAt = r.deliv, r.delivAt
		w.appLimited, w.flight, w.lost = r.has(recLimited), r.flight, r.lost
		w.sendIval = r.txAt - r.first
		p.first = r.txAt
		a.ackedDelivered = r.deliv
	}
	r.delivAt = 0
}

// sample is what this ACK tells.
func (p *rateSampler) sample(s *sender, a *ackWork, n, lost uint32) ackSample {
	if n > 0 {
		p.at = a.now
	}
	if p.limited != 0 && int32(p.delivered-p.limited) > 0 {
		p.limited = 0
	}
	w := &a.rate
	p.appLimited = w.appLimited
	smp := ackSample{rtt: w.rtt, acked: n, lost: lost, inFlight: a.priorInFlight, limited: w.appLimited,
		prior: w.priorDeliv, delayed: a.lone(s, n)}
	if w.priorAt == 0 {
		return smp
	}
	smp.flight, smp.lostSince = uint32(w.flight), s.lostSince(w.lost)
	smp.delivered = p.delivered - w.priorDeliv
	smp.interval = max(w.sendIval, a.now-w.priorAt)
	if smp.interval < s.rtt.min.get() {
		smp.interval = 0 // "no reliable rate sample"
		return smp
	}
	r := int64(smp.delivered) * int64(s.mss) * 1e9 / max(smp.interval, 1)
	if !w.appLimited || r >= p.rate {
		p.rate = r
	}
	return smp
}

// lostSince is how many segments were deemed lost since lostMarks was at, modulo 65,536.
func (s *sender) lostSince(at uint16) uint32 { return uint32(uint16(s.sb.lostMarks) - at) }

// noteLimited is called when the program writes: until now there was less than a segment to send though cwnd allowed
// more, so what is in flight does not show what the path can do.
func (s *sender) noteLimited() {
	if s.sb.lost <= s.sb.rexmit && s.inFlight() < s.cwnd && s.unsent() < s.mss {
		s.rate.limited = max(s.rate.delivered+s.inFlight(), 1)
	}
}

// lone says that the ACK is for one segment that filled no MSS: the peer may have waited before it sent it.
func (a *ackWork) lone(s *sender, n uint32) bool {
	return n == 1 && a.acked == 1 && a.sacked == 0 && s.una.Sub(a.priorUna) < s.mss && !a.ece
}

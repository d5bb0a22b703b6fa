package tcp

// train is a run of full segments that leave one after the other. A Linux host hands such a run to its device as one
// packet (TSO) and sets PSH on its last segment: "When tcp sends a TSO packet, adding a PSH flag on it reduces the sojourn
// time of GRO packet in GRO receivers" (Linux 5.5). Receivers of ours gain from it as much.
type train struct {
	n    int16 // segments of it so far
	most int16 // segments it may have
}

// trainMost is how long a train may be, as Linux bounds it: what the pacing rate carries in a millisecond (more on a short
// path), two at least; half of cwnd, "for better scheduling, ensure we have at least 2 GSO packets in flight"; and what
// cwnd has room for.
func (s *sender) trainMost() int16 {
	n := quantumMost / s.mss
	if s.pace.on {
		n = s.burst() / s.mss
	} else if s.rtt.srtt > 0 {
		n = max(s.autosize(s.windowRate())/s.mss, s.p.MinTSOSegs)
	}
	return int16(min(n, max(int(s.cwnd>>1), 1), int(s.cwnd)-int(s.inFlight()), 127))
}

// autosize is tcp_tso_autosize in bytes: a millisecond of the rate, and more on a short path.
func (s *sender) autosize(rate int64) int {
	n := int(min(rate>>10, quantumMost))
	if r := s.rtt.min.get() / 1000 >> 9; r < 32 && s.rtt.min.get() > 0 {
		n = min(n+quantumMost>>r, quantumMost)
	}
	return n
}

// couple adds a new segment to the train and says whether it is the last of one of several.
func (s *sender) couple(r *txRec) bool {
	if s.train.n == 0 {
		s.train.most = s.trainMost()
	}
	s.train.n++
	next := r.next
	goesOn := int(r.n) == s.mss && s.train.n < s.train.most && next != nil && !next.has(recSYN) && next.n > 0 &&
		s.windowFits(next, s.mss) && (int(next.n) >= s.mss || next.has(recFIN) || next.next != nil)
	if goesOn {
		return false
	}
	last := s.train.n > 1
	if last {
		r.flags |= recTail
	}
	s.train = train{}
	return last
}

// coupleAgain says whether a segment that is sent again ends a run of several: such a run is a part of one train, because a
// Linux host sends again what it has in one packet.
func (s *sender) coupleAgain(now int64, r *txRec) bool {
	p := r.prev
	return r.has(recTail) && p != nil && p.has(recRexmit) && p.txAt >= now && !p.has(recTail)
}

package tcp

// The send buffer is charged and bounded by packets as Linux makes them: up to 64 KB of segments that the device would cut
// apart. Here each segment is a record of its own; what follows says which records one packet would hold.
//
//	 begun           nxt                       end
//	---|--------------|-------------------------|
//	   | has left     | in the packet, which is filled up to packetGoal
//
// A limit is looked at when a packet is begun, so that the queue may exceed it by one.

// packetGoal is how many bytes Linux puts into one packet of its queue, tcp_xmit_size_goal.
func (s *sender) packetGoal() int {
	g := s.segGoal()
	return max(s.boundHalfWindow(quantumMost)/g*g, g)
}

// beginPacket says that a new record is the first of a packet.
func (s *sender) beginPacket(r *txRec) {
	r.flags |= recPacket
	s.q.charge += packetCharge
	s.buf.begun = r.seq
}

// packetRoom is how much fits the last packet, if any of it was not sent: what has left makes room in it.
func (s *sender) packetRoom() int {
	t := s.q.tail
	if t == nil || t.flags&(recSent|recFIN|recSYN|recEOR) != 0 {
		return 0
	}
	return s.packetGoal() - s.end.Sub(maxSeq(s.buf.begun, s.nxt))
}

// leavesAtOnce is how much of the packet that begins at seq leaves while it is written, because Linux sends a packet as soon as
// it is full: 0 when all of it does, since then it is filled no further.
func (s *sender) leavesAtOnce(seq Seq) int {
	window := s.wndEnd().Sub(seq)
	if n := int(s.cwnd) - int(s.inFlight()); n < quantumMost/88 { // else cwnd is no limit
		window = min(window, n*s.mss-seq.Sub(s.nxt))
	}
	if window <= 0 || window >= s.packetGoal() {
		return 0
	}
	return window / s.mss * s.mss
}

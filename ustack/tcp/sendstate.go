package tcp

// sendState is the sender's part of a connection that moves.
type sendState struct {
	ISS, Una, Nxt, End Seq
	Wnd, MaxWnd        uint32
	WL1                Seq
	MSS                int
	FINQueued, FINSent bool
	Data               []byte // bytes [Una, End) without SYN and FIN
}

// snapshot copies what another stack needs to go on.
func (s *sender) snapshot() sendState {
	st := sendState{ISS: s.iss, Una: s.una, Nxt: s.nxt, End: s.end, Wnd: s.wnd, MaxWnd: s.maxWnd, WL1: s.wl1,
		MSS: s.mss, FINQueued: s.finQueued, FINSent: s.finSent()}
	if s.q.head != nil {
		st.Data = make([]byte, 0, s.end.Sub(s.una)+int(s.mss)) // a record's beginning may be acknowledged already
	}
	for r := s.q.head; r != nil; r = r.next {
		for at := 0; at < int(r.n); {
			p := r.piece(at)
			st.Data = append(st.Data, p...)
			at += len(p)
		}
	}
	return st
}

// restore goes on where a snapshot stopped, on a sender fresh from init. What was sent and not acknowledged counts as in
// flight since now; if the peer does not answer it is sent again like anything else. The queue may exceed the send
// buffer. False: there are not enough frames, and nothing may be done but drop.
func (s *sender) restore(now int64, st *sendState) bool {
	s.iss, s.una, s.nxt, s.end = st.ISS, st.Una, st.Una, st.Una
	s.wnd, s.maxWnd, s.wl1 = st.Wnd, max(st.MaxWnd, st.Wnd), st.WL1
	s.sml, s.sb.high = st.Una, st.Una
	s.established(now)
	data := st.Data
	for len(data) > 0 {
		r := s.newRec()
		if r == nil {
			return false
		}
		limit := s.segGoal()
		if rest := st.Nxt.Sub(r.seq); rest > 0 { // a record lies on one side of nxt
			limit = min(limit, rest)
		}
		n := s.mem.fill(r, data, limit)
		s.q.push(r)
		s.beginPacket(r)
		s.took(r, n)
		data = data[n:]
	}
	if st.FINQueued {
		s.addFIN(st)
	}
	for r := s.q.unsent; r != nil && r.end().LEQ(st.Nxt) && r.end().GT(s.una); r = s.q.unsent {
		t := s.segment(r)
		s.sentNew(now, r, &t)
	}
	return true
}

// addFIN queues the FIN: on a record of its own if the last byte was sent without it.
func (s *sender) addFIN(st *sendState) {
	if t := s.q.tail; t != nil && t.end() == st.Nxt && !st.FINSent {
		t.flags |= recSent
		s.queueFIN(0)
		t.flags &^= recSent
		return
	}
	s.queueFIN(0)
}

package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// write copies bytes of the program to the queue and returns how many fitted: the last segment that did not leave yet
// is filled up first, then new frames are taken.
func (s *sender) write(now int64, b []byte, flags int) int {
	if s.finQueued || s.frozen {
		return 0
	}
	s.restartAfterIdle(now)
	s.noteLimited()
	limit := s.segGoal()
	done := 0
	if t := s.q.tail; t != nil && t.flags&(recSent|recFIN|recSYN|recEOR) == 0 && s.q.charge < s.buf.size {
		if done = s.mem.fill(t, b, limit); done > 0 {
			t.flags &^= recPSH // it moves to the new end
		}
		s.took(t, done)
	}
	room := s.packetRoom()
	for done < len(b) && (flags&writeWhole != 0 || (room > 0 || s.mayQueue()) && s.mayHold()) {
		r := s.newRec()
		if r == nil {
			break
		}
		n := s.mem.fill(r, b[done:], limit)
		s.nagle.push = false // TCP_NODELAY and uncorking let go what was queued then, not what comes later
		if s.q.push(r); s.q.head == r {
			s.chrono.start(now, chronoBusy)
		}
		if room <= 0 {
			room = s.packetGoal() + s.leavesAtOnce(r.seq)
			s.beginPacket(r)
		}
		s.took(r, n)
		done += n
		if room -= n; room <= 0 && s.pushForced() {
			r.flags |= recPSH
			s.pushed = s.end
		}
	}
	if done < len(b) && !s.buf.starved && s.mem.Pool.Available() == 0 {
		s.buf.starved, s.buf.look = true, now+ringRetry
	}
	if done > 0 {
		s.endWrite(flags, done == len(b))
	}
	s.buf.noSpace = s.buf.noSpace || done < len(b)
	return done
}

func (s *sender) took(r *txRec, n int) {
	s.q.charge += n
	s.end = s.end.Add(n)
	if s.q.unsent == nil {
		s.q.unsent = r
	}
}

// newRec is a record with a frame, at the end of the queue.
func (s *sender) newRec() *txRec {
	f := s.mem.Pool.Get()
	if f == nil {
		return nil
	}
	r := s.mem.rec()
	r.buf, r.off, r.seq = f, pbuf.Headroom, s.end
	return r
}

// endWrite marks the end of what the program wrote: "the sending TCP peer [...] MUST set the PSH bit in the last
// buffered segment (i.e., when there is no more queued data to be sent)" RFC 9293 §3.9.1.2, and also, as in Linux, whenever half of the
// peer's window was written since the last PSH.
func (s *sender) pushForced() bool { return s.end.GT(s.pushed.Add(int(s.maxWnd >> 1))) }

func (s *sender) endWrite(flags int, whole bool) {
	s.nagle.more = whole && flags&writeMore != 0
	if whole && flags&writeEOR != 0 {
		s.q.tail.flags |= recEOR
	}
	if flags&writeNoPsh != 0 {
		return
	}
	if !s.nagle.more || s.pushForced() {
		s.q.tail.flags |= recPSH
		s.pushed = s.end
	}
}

// segGoal is how many bytes a new segment may hold. A peer that never offered two segments of window would make every
// second one wait: half of the largest window is Linux' bound (RFC 9293 §3.8.6.2.1 asks
// to send when Fs * Max(SND.WND) can be sent, Fs = 1/2).
func (s *sender) segGoal() int {
	return min(s.boundHalfWindow(s.mss), maxPayload)
}

func (s *sender) boundHalfWindow(n int) int {
	cut := int(s.maxWnd)
	if cut > 536 {
		cut >>= 1
	}
	if cut == 0 || n <= cut {
		return n
	}
	return max(cut, 68-40)
}

// queueSYN puts a SYN (or the SYN of a SYN-ACK) in front of the queue.
func (s *sender) queueSYN(now int64) {
	r := s.mem.rec()
	r.seq, r.flags = s.end, recSYN
	s.q.push(r)
	s.beginPacket(r)
	s.end++
	s.synOut = true
}

// skipSYN is for a connection whose SYN was sent and acknowledged elsewhere: by the SYN queue or a cookie.
func (s *sender) skipSYN(now int64) {
	s.una, s.nxt, s.end = s.iss+1, s.iss+1, s.iss+1
	s.rate.delivered = 1 // as Linux counts: the SYN-ACK
	s.sml, s.pushed, s.undo.retransAt = s.una, s.una, 0
	s.established(now)
}

// queueFIN puts a FIN behind the last byte. Later writes take nothing.
func (s *sender) queueFIN(now int64) {
	if s.finQueued {
		return
	}
	s.finQueued = true
	if t := s.q.tail; t != nil && t.flags&(recSent|recSYN) == 0 {
		t.flags |= recFIN | recPSH
		s.end++
		return
	}
	r := s.mem.rec()
	r.seq, r.flags = s.end, recFIN
	s.q.push(r)
	s.beginPacket(r)
	s.end++
}

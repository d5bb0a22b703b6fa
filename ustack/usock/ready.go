package usock

// Ready is the mask of poll(2), bit for bit what the kernel's tcp_poll tells of the same socket.
func (s *Socket) Ready() uint32 {
	if s.lis != nil {
		// "if (state == TCP_LISTEN) return inet_csk_listen_poll(sk)": only the accept queue counts.
		if s.lis.Waiting() > 0 {
			return PollIn | PollRdNorm
		}
		return 0
	}
	return s.conn.Poll()
}

// EdgeIn counts what the kernel would call sk_data_ready for: an EPOLLET reader is woken when it grows.
func (s *Socket) EdgeIn() uint32 { return s.edgeIn }

// EdgeOut counts write-space wake-ups: an EPOLLET writer is woken when it grows.
func (s *Socket) EdgeOut() uint32 { return s.edgeOut }

// TCPEvent is tcp.Watcher.
func (s *Socket) TCPEvent(in, out bool) {
	s.edge = s.edge || in || out
	if in {
		s.edgeIn++
	}
	if out {
		s.edgeOut++
	}
	s.host.Changed()
}

// Fed tells that there are free frames again, after Host.Short.
func (s *Socket) Fed() {
	if !s.closed && s.conn.Poll()&PollOut != 0 {
		s.TCPEvent(false, true)
	}
}

// News tells whether mask or edges differ from what the last call of News saw, while the program holds the socket.
func (s *Socket) News() bool {
	if !s.accepted || s.closed {
		return false
	}
	r := s.Ready()
	if r == s.ready && !s.edge {
		return false
	}
	s.ready, s.edge = r, false
	return true
}

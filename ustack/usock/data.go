package usock

import "github.com/sluice-net/sluice/ustack/tcp"

// Recv is recvmsg(2) without waiting: bytes received into iov; 0 without an error is the end of the stream.
func (s *Socket) Recv(now int64, iov [][]byte, flags int) (int, RecvInfo, error) {
	if s.conn == nil {
		return 0, RecvInfo{}, tcp.ErrNotConn
	}
	n, info, err := s.conn.Read(now, iov, flags)
	if n > 0 || err != nil && err != tcp.ErrAgain { // reading opens the window, an error is told once
		s.host.Turn(now)
	}
	return n, info, err
}

// Skip takes n octets out of the receive queue that the program has already. Whatever is due by it leaves with the next turn.
func (s *Socket) Skip(now int64, n int) int {
	s.host.Changed()
	return s.conn.Skip(now, n)
}

// Send is sendmsg(2) without waiting: how many bytes of iov were queued.
func (s *Socket) Send(now int64, iov [][]byte, flags int) (int, error) {
	if s.conn == nil {
		return 0, tcp.ErrPipe
	}
	n, err := s.conn.Write(now, iov, flags)
	want := total(iov)
	if n < want {
		s.host.Short()
	}
	if err != tcp.ErrAgain { // a SYN that waited for a write leaves with one of nothing, too
		s.host.Turn(now)
	}
	for n > 0 && n < want { // what has left makes room below TCP_NOTSENT_LOWAT
		more, _ := s.conn.Write(now, rest(iov, n), flags|tcp.MsgContinues)
		if more == 0 {
			break
		}
		n += more
		s.host.Turn(now)
	}
	return n, err
}

// rest leaves out the first n bytes.
func rest(iov [][]byte, n int) [][]byte {
	for len(iov) > 0 && n >= len(iov[0]) {
		n -= len(iov[0])
		iov = iov[1:]
	}
	if n == 0 || len(iov) == 0 {
		return iov
	}
	return append([][]byte{iov[0][n:]}, iov[1:]...)
}

// SendStaged is for octets that the program was told had been sent: see tcp.Conn.WriteStaged. They leave with the next turn.
func (s *Socket) SendStaged(now int64, b []byte, corked bool) (int, error) {
	if s.conn == nil {
		return 0, tcp.ErrPipe
	}
	s.host.Changed()
	return s.conn.WriteStaged(now, b, corked)
}

func total(iov [][]byte) int {
	n := 0
	for _, b := range iov {
		n += len(b)
	}
	return n
}

// TakeNote takes the oldest entry of the error queue: recvmsg(2) with MSG_ERRQUEUE.
func (s *Socket) TakeNote() (tcp.Note, bool) {
	if s.conn == nil {
		return tcp.Note{}, false
	}
	n, ok := s.conn.TakeNote()
	if ok {
		s.host.Changed() // POLLERR may go away
	}
	return n, ok
}

// Accept takes the oldest established connection of a listener; tcp.ErrAgain when there is none.
func (s *Socket) Accept(now int64) (*Socket, error) {
	if s.lis == nil {
		return nil, tcp.ErrInval
	}
	c := s.lis.Accept(now)
	if c == nil {
		return nil, tcp.ErrAgain
	}
	a := s.host.Wrap(c)
	a.accepted = true
	s.host.Turn(now)
	return a, nil
}

// Prompt has the ACK of the handshake wait for nothing.
func (s *Socket) Prompt() { s.conn.Prompt() }

// Shutdown is shutdown(2).
func (s *Socket) Shutdown(now int64, how int) error {
	if s.conn == nil {
		if how != 1 { // SHUT_RD ends a listener in Linux
			s.host.CloseListener(now)
			return nil
		}
		return tcp.ErrNotConn
	}
	err := s.conn.Shutdown(now, how)
	s.host.Turn(now)
	return err
}

// Close is close(2): the socket must not be used again; the connection ends by itself. linger is how long (ns) a
// blocking close should wait for that (SO_LINGER), 0 not at all.
func (s *Socket) Close(now int64) (linger int64) {
	if s.closed {
		return 0
	}
	s.closed = true
	if s.lis != nil {
		s.host.CloseListener(now)
		return 0
	}
	linger = s.conn.Close(now)
	s.host.Turn(now)
	return linger
}

// Abort ends the connection with a reset and gives the socket up.
func (s *Socket) Abort(now int64) {
	if s.lis != nil {
		s.Close(now)
		return
	}
	s.closed = true
	s.conn.Abort(now)
	s.host.Turn(now)
}

// InQ is SIOCINQ in bytes.
func (s *Socket) InQ() int {
	if s.conn == nil {
		return 0
	}
	return s.conn.InQ()
}

// Ahead is how many bytes Recv would give.
func (s *Socket) Ahead() int {
	if s.conn == nil {
		return 0
	}
	return s.conn.Ahead()
}

// PassMark skips an urgent byte that is next, as a receive does before it copies.
func (s *Socket) PassMark() {
	if s.conn != nil {
		s.conn.PassMark()
	}
}

// InqHint is what TCP_INQ's ancillary message tells.
func (s *Socket) InqHint() int {
	if s.conn == nil {
		return 0
	}
	return s.conn.InqHint()
}

// OutQ is SIOCOUTQ in bytes.
func (s *Socket) OutQ() int {
	if s.conn == nil {
		return 0
	}
	return s.conn.OutQ()
}

// OutQNSD is SIOCOUTQNSD in bytes: what was never sent.
func (s *Socket) OutQNSD() int {
	if s.conn == nil {
		return 0
	}
	return s.conn.OutQNSD()
}

// AtMark is SIOCATMARK.
func (s *Socket) AtMark() bool { return s.conn != nil && s.conn.AtMark() }

// TakeError is SO_ERROR: the pending error, which is then cleared.
func (s *Socket) TakeError() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.TakeError()
	if err != nil {
		s.host.Changed() // POLLERR goes away
	}
	return err
}

// KeepError is an error for the next call: it is told as if it were the connection's.
func (s *Socket) KeepError(err error) {
	if s.conn != nil {
		s.conn.KeepError(err)
		s.host.Changed() // POLLERR
	}
}

package usock

import "github.com/sluice-net/sluice/ustack/tcp"

// Freeze stops all input, output and timers of a connection and returns what the kernel needs to go on with it.
// tcp.ErrCannotMove when the kernel has no such state.
func (s *Socket) Freeze(now int64) (*tcp.Snapshot, error) {
	if s.conn == nil {
		return nil, tcp.ErrCannotMove
	}
	if s.conn.Acknowledge() { // the kernel would not know of it
		s.host.Turn(now)
	}
	snap, err := s.conn.Freeze(now)
	s.host.Turn(now)
	return snap, err
}

// Thaw undoes Freeze.
func (s *Socket) Thaw(now int64) {
	s.conn.Thaw(now)
	s.host.Turn(now)
}

// Forget drops a frozen connection that is the kernel's now: nothing is sent, and packets of it that are still in our
// rings are not answered with a reset.
func (s *Socket) Forget(now int64) {
	s.closed = true
	s.conn.Forget(now)
	s.host.Leave(now)
}

package ustack

import "github.com/sluice-net/sluice/ustack/tcp"

// Unanswered says that ACKs wait for an answer to what the program has read.
func (s *Stack) Unanswered() bool { return s.host.Answers.Unanswered() }

// Waits says that the program is about to wait: what it has read and not answered has no answer for now, and the next Poll acknowledges it.
func (s *Stack) Waits() {
	if s.Unanswered() {
		s.acknowledge(s.host.Answers.Read(s.late[:0]))
	}
}

// unanswered acknowledges what was not answered in time.
func (s *Stack) unanswered(now int64) {
	if d := s.host.Answers.Deadline(); d != 0 && d <= now {
		s.acknowledge(s.host.Answers.Late(now, s.late[:0]))
	}
}

func (s *Stack) acknowledge(late []*tcp.Conn) {
	for _, c := range late {
		s.activate(c.Owner.(*endpoint))
	}
	clear(late)
	s.late = late
}

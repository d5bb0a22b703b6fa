package repair

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// A socket comes to life at one instant, that it leaves repair mode, and whoever has it can tell whether it did (getsockopt needs no privilege). All
// after that any owner can do. So one who was given a frozen socket needs nobody to know what became of it:
//
//	Fill ──► frozen ──► out of repair mode ──► hears the peer ──► sends what was not sent, options
//	         Discard     └─────────────── Finish does, or goes on with, the rest ──────────────┘

// Live lets a filled socket go on, and sends what was not sent yet; on an error it is closed.
func (s *State) Live(fd int) error { return s.orEnd(fd, s.live(fd)) }

func (s *State) live(fd int) error {
	sent, err := s.sent()
	if err != nil {
		return err
	}
	if !s.Deadline.IsZero() && time.Now().After(s.Deadline) {
		return errors.New("too late: who asked for it waits no longer")
	}
	if err := useQueue(fd, sendQueue); err != nil { // for Finish
		return err
	}
	if err := exit(fd, false); err != nil {
		return err
	}
	if err := unlock(fd); err != nil {
		return err
	}
	// Where an ACK is owed, or may have been dropped by our lock, a probe settles it at once; else somebody's timeout would.
	if s.RcvNxt != s.RcvWup || sent > 0 {
		if err := exit(fd, true); err != nil {
			return err
		}
	}
	return s.finish(fd, s.SendData[sent:])
}

// Alive tells whether a socket that somebody filled has come to life.
func Alive(fd int) (bool, error) {
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR)
	return err == nil && v == unix.TCP_REPAIR_OFF, step("is the socket alive", err)
}

// Finish is the rest of Live for a socket that is alive, when whoever began it has ended in the middle. It needs no privilege: what of the queue was
// written tells the sequence number, which the kernel shows of the queue chosen last.
func (s *State) Finish(fd int) error {
	sent, err := s.sent()
	if err != nil {
		return s.unmoved(err)
	}
	if err := unlock(fd); err != nil && !errors.Is(err, unix.ENOENT) {
		return s.unmoved(err)
	}
	end, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
	if err != nil {
		return s.unmoved(step("how much was written", err))
	}
	rest := s.SendData[sent:]
	if n := int64(int32(uint32(end) - s.SndUna - uint32(sent))); n > 0 {
		rest = rest[min(n, int64(len(rest))):]
	}
	if err := s.finish(fd, rest); err != nil {
		return s.unmoved(err)
	}
	return nil
}

// finish sends the rest, and gives the socket what else the program's had. All of it may be done again.
func (s *State) finish(fd int, rest []byte) error {
	// As an accepted socket would have it: a listener that starts anew must be able to bind its port. Not before: it would undo the
	// forced reuse that repair mode binds with.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := s.sendRest(fd, rest); err != nil {
		return err
	}
	if s.finSent() && !s.finIsOut() && !s.finAcked() {
		if err := step("send FIN", unix.Shutdown(fd, unix.SHUT_WR)); err != nil {
			return err
		}
	}
	if s.ShutRead {
		if err := step("shut for reading", unix.Shutdown(fd, unix.SHUT_RD)); err != nil {
			return err
		}
	}
	s.GiveOptions(fd)
	return nil
}

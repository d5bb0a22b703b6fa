package broker

import (
	"time"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/fallback/repair"
)

// A connection that is handed over stands still until the kernel's socket is alive. The socket itself, which any connection can be, is there before:
// neither it nor the way into the namespace has to be waited for.

// blankPause is how long after a hand-over the next blank is made: the program goes on first.
const blankPause = time.Millisecond

// takeBlank gives the space's blank for a connection, and has the next one made. -1: there is none.
func (s *space) takeBlank(c *client, st *repair.State) (int, *repair.Injector) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed || st.Local.Addr().Zone() != "" { // a zone's name is looked up in the namespace
		return -1, nil
	}
	at := 0
	if st.Six() {
		at = 1
	}
	if !s.refilling {
		s.refilling = true
		c.then = append(c.then, func() { s.b.after(blankPause, func() { s.makeBlank(at) }) }) // a timer wakes another thread
	}
	if s.via == nil {
		return -1, nil
	}
	fd := s.blanks[at] - 1
	s.blanks[at] = 0
	return fd, s.via
}

// makeBlank needs the lock.
func (s *space) makeBlank(at int) {
	s.refilling = false
	if s.closed || s.blanks[at] > 0 {
		return
	}
	_ = netns.Visit(s.fd(), func() error {
		fd, err := repair.NewBlank(at == 1)
		s.blanks[at] = fd + 1
		return err
	})
}

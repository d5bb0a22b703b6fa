package broker

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/fallback/repair"
)

// A connection that is handed over stands still until the kernel's socket is alive. The socket itself, which any connection can be, is there before:
// neither it nor the way into the namespace has to be waited for.

// blankPause is how long after a hand-over the next blank is made: the program goes on first.
const blankPause = time.Millisecond

// blank is such a socket.
type blank struct {
	fd       int
	uid, gid uint32
}

// takeBlank gives the space's blank for a client's connection, and has the next one made, for the same owner. -1: there is none.
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
		c.then = append(c.then, func() { s.b.after(blankPause, func() { s.makeBlank(at, c.uid, c.gid) }) }) // a timer wakes another thread
	}
	if s.via == nil {
		return -1, nil
	}
	k := s.blanks[at]
	if s.blanks[at] = nil; k == nil {
		return -1, s.via
	}
	if k.uid != c.uid || k.gid != c.gid {
		s.b.own(k.fd, c.uid, c.gid)
	}
	return k.fd, s.via
}

// makeBlank needs the lock.
func (s *space) makeBlank(at int, uid, gid uint32) {
	s.refilling = false
	if s.closed || s.blanks[at] != nil {
		return
	}
	_ = netns.Visit(s.fd(), func() error {
		fd, err := repair.NewBlank(at == 1)
		if err == nil {
			s.b.own(fd, uid, gid)
			s.blanks[at] = &blank{fd, uid, gid}
		}
		return err
	})
}

// own gives a socket to a user: the kernel accounts it to its owner (ss -e, owner match), and that must not be root.
func (b *Broker) own(fd int, uid, gid uint32) {
	if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
		b.log.Debugf("broker: owner of a handed-over socket: %v", err)
	}
}

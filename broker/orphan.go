package broker

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// An orphan is an established connection that its engine never gave to the program, because it goes away. As a kernel socket it passes to
// another process that has the same listener. The kernel keeps such connections in the listener's queue; so we keep them until one comes.

// heldOrphan is one that waits for a taker.
type heldOrphan struct {
	fd     int  // the socket, or a keeper of it
	kept   bool // a keeper: who passed it on has it, too, and takes it back if we die before another has taken it
	cookie uint64
	key    key
	uid    uint32
	space  *space
	until  time.Time
	at     netip.AddrPort // its local end
	bell   int            // 1 + a socket that is connected to the listener, to wake who accepts there
	port   uint16         // the bell's
}

const (
	maxHeld      = 4096
	holdOrphans  = 10 * time.Second
	stalledFor   = time.Second // a process that did not accept is taken to be at it again after that
	maxDelivered = 256         // to one client, not yet answered
)

func opOrphan(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Orphan
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("orphan: %v", err)
	}
	b.mu.Lock()
	s, err := b.enter(c)
	l := c.listeners[r.Cookie]
	if l == nil {
		l = c.past[r.Cookie]
	}
	full := len(b.held) >= maxHeld
	others := r.Ask && b.othersAccept(c, r.Cookie)
	bare := r.Ask && err == nil && !others && s.isBare(r.Cookie)
	b.mu.Unlock()
	if err != nil || r.Ask {
		return proto.Asked{Others: others || bare, Bare: bare}, nil, err
	}
	local := r.Conn.State.Local
	if r.Kernel {
		if local, err = endOf(p.FDs, s); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case l == nil || !l.key.covers(unmap(local)):
		return nil, nil, refuse("orphan: %v is not of a listener of this program (cookie %d, %d known)", local, r.Cookie, len(c.listeners)+len(c.past))
	case full:
		return nil, nil, refuse("orphan: %d wait already", maxHeld)
	case !b.back.Listening(s.fd(), unmap(local)): // nobody can take it: as in the kernel, it ends with its listener
		return nil, nil, refuse("orphan: nobody listens at %v any more", local)
	}
	fd, err := b.orphanSocket(c, s, &r, p)
	if err != nil {
		return nil, nil, err
	}
	kept := r.Kernel && r.Keep
	if kept {
		if fd, err = b.inKeeper(c, p, fd); err != nil {
			return nil, nil, err
		}
	}
	b.step("kept")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		unix.Close(fd)
		return nil, nil, errGone
	}
	s.refs++
	except := c
	if l.left {
		except = nil // it may have opened the same port anew, as iperf3 does after each test
	}
	b.place(&heldOrphan{fd: fd, kept: kept, cookie: l.cookie, key: l.key, uid: c.uid, space: s, until: time.Now().Add(holdOrphans), at: unmap(local)}, except)
	b.step("placed")
	return nil, nil, nil
}

// orphanSocket is a descriptor of our own for the kernel socket that the connection is, or becomes.
func (b *Broker) orphanSocket(c *client, s *space, r *proto.Orphan, p *proto.Packet) (int, error) {
	if !r.Kernel {
		return b.toKernel(c, s, &r.Conn, p, func(int) error { return nil })
	}
	if late := p.Deadline(); !late.IsZero() && time.Now().After(late) { // it would be in two places
		return -1, errLate
	}
	fds, err := dupAll(p.FDs[:1])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// inKeeper puts a socket into a keeper, and gives the client that passes it on a copy of that before anybody else. The socket is closed.
func (b *Broker) inKeeper(c *client, p *proto.Packet, fd int) (keeper int, err error) {
	keeper, err = proto.Keep([]int{fd})
	unix.Close(fd)
	if err != nil {
		return -1, err
	}
	if err := c.ahead(p, nil, keeper); err != nil {
		unix.Close(keeper)
		return -1, err
	}
	return keeper, nil
}

// othersAccept tells whether a process other than c listens with that very socket and, as far as is known, accepts. c does not.
func (b *Broker) othersAccept(c *client, cookie uint64) bool {
	c.stalled = time.Now()
	for o := range b.clients {
		if l := o.listeners[cookie]; o != c && !o.gone && l != nil && !l.left && c.listeners[cookie] != nil && time.Since(o.stalled) > stalledFor {
			return true
		}
	}
	return false
}

// endOf is the local end of a connection that a client shows by its socket.
func endOf(fds []int, s *space) (netip.AddrPort, error) {
	if len(fds) != 1 {
		return netip.AddrPort{}, refuse("orphan: needs one socket")
	}
	if err := inspectTCP(fds[0], s); err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := unix.Getpeername(fds[0]); err != nil {
		return netip.AddrPort{}, refuse("orphan: the socket is not connected")
	}
	local, _, err := boundTo(fds[0])
	return local, err
}

// place sends an orphan to a process with its listener, or keeps it: to one that accepts, as far as is known, and of these to the one that waits
// for fewest.
func (b *Broker) place(o *heldOrphan, except *client) {
	if o.kept && proto.Empty(o.fd) {
		o.drop()
		return
	}
	var best *client
	var cookie uint64
	for c := range b.clients {
		if c == except || c.gone || c.space != o.space || c.orphans >= maxDelivered {
			continue
		}
		if l := c.listenerLike(o); l != nil && (best == nil || c.stalled.Before(best.stalled) || c.stalled.Equal(best.stalled) && c.orphans < best.orphans) {
			best, cookie = c, l.cookie
		}
	}
	if best == nil {
		b.held = append(b.held, o)
		if o.space.wasBare(o.cookie) {
			b.ring(o)
		}
		b.after(time.Until(o.until)+time.Millisecond, func() {
			now := time.Now()
			b.dropHeld(func(o *heldOrphan) bool { return now.After(o.until) })
		})
		return
	}
	if o.kept && !best.keepers && !o.open() {
		o.drop()
		return
	}
	best.orphans++
	best.ask(proto.OpAccepted, proto.Accepted{Cookie: cookie, Kept: o.kept}, []int{o.fd}, 0, func(_ *proto.Packet, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		best.orphans--
		if err != nil && !b.closed {
			b.log.Infof("broker: %v did not take a connection of %v: %v", best, o.key, err)
			b.place(o, best)
			return
		}
		b.count.Orphans++
		o.drop()
	})
}

// open takes the socket out of its keeper, for a program that does not know how to.
func (o *heldOrphan) open() bool {
	fds, err := proto.Take(o.fd, 0)
	if err != nil {
		return false
	}
	unix.Close(o.fd)
	o.fd, o.kept = fds[0], false
	return true
}

// listenerLike is the client's listener for an orphan: the same socket, or one at the same address by the same user (SO_REUSEPORT).
func (c *client) listenerLike(o *heldOrphan) *listener {
	for _, l := range c.listeners {
		if !l.left && (l.cookie == o.cookie || l.key == o.key && c.uid == o.uid) {
			return l
		}
	}
	return nil
}

// deliverHeld gives a new listener what waited for it.
func (b *Broker) deliverHeld(c *client, l *listener) {
	wait := b.held
	b.held = nil
	for _, o := range wait {
		if o.space == c.space && c.listenerLike(o) == l {
			b.place(o, nil)
		} else {
			b.held = append(b.held, o)
		}
	}
}

// dropHeld closes those that nobody came for.
func (b *Broker) dropHeld(which func(*heldOrphan) bool) {
	var stay []*heldOrphan
	for _, o := range b.held {
		if which(o) {
			o.drop()
		} else {
			stay = append(stay, o)
		}
	}
	b.held = stay
}

func (o *heldOrphan) drop() {
	unix.Close(o.fd)
	if o.bell > 0 {
		unix.Close(o.bell - 1)
	}
	o.space.put()
}

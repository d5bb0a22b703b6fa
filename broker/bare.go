package broker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/broker/proto"
)

// A process that cannot have an engine may accept from a listener which another process's engine serves: dovecot's master polls, and its log-in
// processes, whose limit on processes leaves a runtime no thread, accept. What waits in the engine becomes a kernel socket for them (orphan.go); but the
// kernel lets nobody put a connection into a listener's queue. So a bell is rung: a connection to that listener, from here, which wakes whoever waits for
// one, by whatever call. Who accepts it knows it by its segment size, and fetches the orphan in its place.

// bellMSS marks bells: the preload object asks here about connections that have it (shim/bell.c). Nobody who asks about another's gets anything.
const bellMSS = 1111

// maxBare bounds what is kept of a namespace's bare processes.
const maxBare = 4096

func opBare(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, l, err := b.shownListener(c, p)
	if err != nil {
		return nil, nil, err
	}
	if len(s.bare) >= maxBare {
		maps.DeleteFunc(s.bare, func(_ uint64, pid int) bool { return !alive(pid) })
	}
	if len(s.bare) >= maxBare {
		return nil, nil, refuse("bare: %d listeners are known already", maxBare)
	}
	if s.bare == nil {
		s.bare = map[uint64]int{}
	}
	if s.bare[l.cookie] == 0 {
		b.log.Infof("broker: %v: accepts from %v without an engine", c, l.key)
	}
	s.bare[l.cookie] = c.pid
	for _, o := range b.held {
		if o.space == s && o.cookie == l.cookie {
			b.ring(o)
		}
	}
	return nil, nil, nil
}

func opFetch(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Fetch
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("fetch: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, l, err := b.shownListener(c, p)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(b.held, func(o *heldOrphan) bool { return o.bell > 0 && o.space == s && o.port == r.Port })
	if i < 0 {
		if time.Now().Before(s.rung[r.Port]) { // another has it, or it is over
			return nil, nil, nil
		}
		return nil, nil, refuse("fetch: port %d is no bell's", r.Port)
	}
	o := b.held[i]
	if o.cookie != l.cookie && (o.key != l.key || o.uid != c.uid) {
		return nil, nil, refuse("fetch: what waits is another listener's")
	}
	b.held = slices.Delete(b.held, i, i+1)
	defer o.drop()
	if o.kept && !o.open() { // who passed it on has it again
		return nil, nil, nil
	}
	b.count.Orphans++
	fds, err := dupAll([]int{o.fd})
	return nil, fds, err
}

// shownListener is the listener that a client shows. Under the lock.
func (b *Broker) shownListener(c *client, p *proto.Packet) (*space, *listener, error) {
	if len(p.FDs) != 1 {
		return nil, nil, refuse("%v: needs one listener", p.Op)
	}
	s, err := b.enter(c)
	if err != nil {
		return nil, nil, err
	}
	l, err := inspectListener(p.FDs[0], s)
	return s, l, err
}

// isBare tells whether a process without an engine accepts from a listener, as far as is known.
func (s *space) isBare(cookie uint64) bool {
	pid, ok := s.bare[cookie]
	return ok && alive(pid)
}

// wasBare tells whether one ever did. It may have ended, and another be started when somebody knocks: whoever polls for it has to hear the bell.
func (s *space) wasBare(cookie uint64) bool {
	_, ok := s.bare[cookie]
	return ok
}

func alive(pid int) bool { return unix.Kill(pid, 0) != unix.ESRCH }

// ring rings for an orphan, once.
func (b *Broker) ring(o *heldOrphan) {
	if o.bell > 0 {
		return
	}
	fd, port, err := bell(o.space.fd(), o.at.Addr())
	if err != nil {
		b.log.Infof("broker: nobody is told that a connection waits at %v: %v", o.at, err)
		return
	}
	now := time.Now()
	maps.DeleteFunc(o.space.rung, func(_ uint16, until time.Time) bool { return now.After(until) })
	if o.space.rung == nil {
		o.space.rung = map[uint16]time.Time{}
	}
	o.space.rung[port] = now.Add(2 * holdOrphans)
	o.bell, o.port = fd+1, port
	if err := unix.Connect(fd, sockaddrOf(o.at)); err != nil && err != unix.EINPROGRESS {
		b.log.Infof("broker: a bell at %v: %v", o.at, err)
	}
}

// bell is a socket of a namespace, bound to one of its addresses, and its port.
func bell(space int, at netip.Addr) (fd int, port uint16, err error) {
	family := unix.AF_INET
	if at.Is6() {
		family = unix.AF_INET6
	}
	err = netns.Visit(space, func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return -1, 0, err
	}
	err = unix.Bind(fd, sockaddrOf(netip.AddrPortFrom(at, 0)))
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, bellMSS)
	}
	if err == nil { // it ends with a reset, and leaves nothing behind
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	local, _, err2 := boundTo(fd)
	if err == nil {
		err = err2
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, local.Port(), nil
}

func sockaddrOf(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

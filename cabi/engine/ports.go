package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
)

// Local ports of outgoing connections are leased in blocks. A block is kernel sockets, bound here and shown to the broker, which keeps every
// packet for them coming, so that a connection from one of them costs neither a request nor a system call. The sockets themselves lie in
// the keeper that the broker gave for them: one descriptor a block.
//
//	free ──► in use ──► free at the end of the list, which is in order of the time that the last connection ended
//
// Which one is next should be hard to foretell (RFC 6056 section 3.1): the kernel chose them at random, and of those that rested longest one
// is taken at random.
const (
	// firstBlock is how many ports the first lease has; each one is twice the last, up to what fits in one message.
	firstBlock = 8
	lastBlock  = proto.MaxFDs
	// maxLeased is how many a process has at most, as the broker has it.
	maxLeased = 12288
	// portRest is how long a port rests between two connections as long as there are few: another incarnation of a connection is told from
	// the last by timestamps of milliseconds and an initial sequence number that grows with time (RFC 6191 section 2).
	portRest  = int64(100 * time.Millisecond)
	fewPorts  = 1024
	holdPorts = int64(5 * time.Second)  // how long they are kept after the last connection of all
	holdBlock = int64(70 * time.Second) // and a block that no connection needs: longer than TIME-WAIT
	// leasePause is how long after a refusal the broker is asked again; until then the kernel connects.
	leasePause = int64(100 * time.Millisecond)
	// firstLook is how many ports are looked at before there are more leased.
	firstLook = 16
)

// port is a leased one.
type port struct {
	flow   flow // of its connection, if in use
	number uint16
	block  *block
	inUse  bool
	spent  bool
	gone   bool  // given back, before the rest of its block
	ended  int64 // when its last connection was over; 0: never used
	next   *port // in the list of free ones
}

// block is ports that were leased together.
type block struct {
	pool   *pool
	keeper int
	ports  []port
	inUse  int
	ended  int64 // when the last connection was over
	closed bool  // no more connections: given back with the last one's end
}

// pool is the leased ports of one local address.
type pool struct {
	local       netip.Addr
	first, last *port // free ones
	free        int
	leased      int
	barren      int64 // until when it is known that no more are to be had
	why         error
}

// ports are all leased ones.
type ports struct {
	pools  map[netip.Addr]*pool
	blocks []*block
	inUse  int
	ended  int64
	lookAt int64 // when to look for what can be given back, 0: never
}

// push puts a port at the end; pushFresh one that was never used in front.
func (p *pool) push(q *port) {
	if q.next = nil; p.last == nil {
		p.first = q
	} else {
		p.last.next = q
	}
	p.last = q
	p.free++
}

func (p *pool) pushFresh(q *port) {
	if q.next = p.first; p.last == nil {
		p.last = q
	}
	p.first = q
	p.free++
}

// take takes the first port from the list that usable allows, behind the first skip ones and among no more than n; nil: there is none.
func (p *pool) take(skip, n int, usable func(*port) bool) *port {
	for at, before := p.first, (*port)(nil); at != nil && n > 0; at, before, n = at.next, at, n-1 {
		if skip--; skip >= 0 || at.block.closed || !usable(at) {
			continue
		}
		if before == nil {
			p.first = at.next
		} else {
			before.next = at.next
		}
		if p.last == at {
			p.last = before
		}
		p.free--
		return at
	}
	return nil
}

// strike takes ports off the list of free ones.
func (p *pool) strike(some func(*port) bool) {
	var first, last *port
	for q := p.first; q != nil; q = q.next {
		if some(q) {
			p.free--
			continue
		}
		if last == nil {
			first = q
		} else {
			last.next = q
		}
		last = q
	}
	if p.first, p.last = first, last; last != nil {
		last.next = nil
	}
}

// lease finds a port for a connection from local to remote. An error: the kernel connects.
func (e *Engine) lease(now int64, local netip.Addr, remote netip.AddrPort) (*flow, error) {
	p := e.ports.pools[local]
	if p == nil {
		p = &pool{local: local}
		e.ports.pools[local] = p
	}
	usable := func(q *port) bool {
		return e.plane.stack.Vacant(now, netip.AddrPortFrom(local, q.number), remote)
	}
	rested := func(q *port) bool {
		return (q.ended == 0 || now-q.ended >= portRest || p.leased >= fewPorts) && usable(q)
	}
	var q *port
	if p.free > 0 { // else there may be no plane yet
		q = p.take(int(e.plane.random()%firstLook), firstLook, rested)
	}
	if q == nil {
		q = p.take(0, firstLook, rested)
	}
	if q == nil && now >= p.barren {
		if p.why = e.grow(now, p); p.why != nil {
			p.barren = now + leasePause
			q = p.take(0, p.free, usable)
		}
	}
	if q == nil {
		q = p.take(0, firstLook, usable)
	}
	if q == nil {
		return nil, fmt.Errorf("no port of %v can be had for another connection to that peer: %w", local, p.why)
	}
	e.ports.inUse++
	q.block.inUse++
	q.inUse = true
	q.flow = flow{local: netip.AddrPortFrom(local, q.number), remote: remote, kfd: -1, port: q}
	return &q.flow, nil
}

// unused ends a port's connection. moved: the kernel has it, and the port will not do for another.
func (e *Engine) unused(now int64, q *port) {
	if !q.inUse {
		return
	}
	b := q.block
	q.inUse, q.ended, b.ended, e.ports.ended = false, now, now, now
	e.ports.inUse--
	b.inUse--
	switch {
	case q.flow.moved:
		q.spent = true
	case !b.closed:
		b.pool.push(q)
	}
	if b.inUse == 0 {
		at := now + holdBlock
		if e.ports.inUse == 0 {
			at = now + holdPorts
		}
		e.ports.lookAt = earlier(e.ports.lookAt, at)
	}
}

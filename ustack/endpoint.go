package ustack

import (
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// endpoint is a socket with its connection and its place in the stack: tables, timer, way to the peer. All of it is one piece of
// memory: what a segment touches lies side by side.
type endpoint struct {
	usock.Socket
	st    *Stack
	timer timer
	flags endpointFlags
	in    uint8         // 1 + slot of the port where its last packet came in, 0 none: answers leave by the same queue
	told  tcp.Condition // to the registry

	hopGen uint32 // Stack.wayGen that hop is of; 0: none yet
	hop    *Hop   // shared with others of the same way; nil: none yet

	conn tcp.Conn // of no use to a listener
}

type endpointFlags uint8

const (
	inTable  endpointFlags = 1 << iota // takes packets
	inActive                           // is in Stack.active
	inBlocked
	inHungry
	dirty       // readiness may have changed
	noNeighbour // a segment was lost because nobody answers for the next hop
	watched     // the Settler is told of it
	sumsLeft    // its peer left a checksum to a device: sums.go
)

// makeConn is tcp.Host.NewConn: a connection's memory is its endpoint's.
func (s *Stack) makeConn() *tcp.Conn {
	s.made = &endpoint{}
	return &s.made.conn
}

// newEndpoint makes the endpoint around the connection that tcp made last.
func (s *Stack) newEndpoint(v6, accepted bool, o usock.IPOptions) *endpoint {
	e := s.made
	s.made = nil
	e.st, e.flags = s, inTable|dirty
	e.InitConn(e, &e.conn, v6, accepted, o)
	e.conn.Owner = e
	s.table.insert(e)
	return e
}

// TCPEvent is tcp.Watcher, in front of the socket's own so that tcp's Owner leads back to the endpoint.
func (e *endpoint) TCPEvent(in, out bool) { e.Socket.TCPEvent(in, out) }

// Changed is usock.Host.
func (e *endpoint) Changed() {
	e.flags |= dirty
	e.st.activate(e)
}

// Short is usock.Host. A connection that cannot be written to because the pool is empty is told when it no longer is:
// no ACK of its own would.
func (e *endpoint) Short() {
	if e.flags&inHungry == 0 && e.st.pool.Available() == 0 {
		e.flags |= inHungry
		e.st.hungry = append(e.st.hungry, e)
		e.Changed() // POLLOUT goes away
	}
}

// Wrap is usock.Host.
func (e *endpoint) Wrap(c *tcp.Conn) *usock.Socket { return &c.Owner.(*endpoint).Socket }

// Turn is usock.Host: what a call on the socket made due is done now, and the device is kicked.
func (e *endpoint) Turn(now int64) {
	e.st.now = now
	e.flags |= dirty
	e.st.activate(e)
	e.st.settle(now)
	e.st.flush()
}

// CloseListener is usock.Host.
func (e *endpoint) CloseListener(now int64) {
	e.st.now = now
	e.st.lists.remove(e)
	e.st.timers.stop(e)
	e.Listener().Close(now, e.st)
	e.st.settle(now)
	e.st.flush()
}

// Leave is usock.Host.
func (e *endpoint) Leave(now int64) {
	e.st.gone.add(keyOf(e.conn.Flow), now)
	e.told = e.Conn().Condition() // it goes on elsewhere: its end here is none
	e.remove()
}

// PathMTU is usock.Host.
func (e *endpoint) PathMTU() int {
	if e.route(); e.hop == nil {
		return 0
	}
	return e.hop.MTU
}

// refresh looks at the route again when something changed, and tells the connection of another MTU.
func (e *endpoint) refresh(now int64) {
	old := e.hop
	if e.route() && old != nil && e.hop.MTU != old.MTU {
		e.Conn().PathMTU(now, e.hop.MTU, 0, false)
	}
}

// opened tells the registry of a new connection.
func (e *endpoint) opened() {
	if e.st.reg != nil {
		e.st.reg.Opened(&e.Socket)
	}
}

// tell tells the registry what happened to the connection.
func (e *endpoint) tell(now int64) {
	if is := e.Conn().Condition(); is != e.told {
		was := e.told
		e.told = is
		e.st.reg.Changed(now, &e.Socket, was, is)
	}
}

// remove takes the endpoint out of table and timers; it is garbage once the program has let go of it too.
func (e *endpoint) remove() {
	if e.flags&inTable != 0 {
		e.flags &^= inTable
		e.st.table.remove(e)
		if e.st.reg != nil {
			e.tell(e.st.now)
			e.st.reg.Gone(&e.Socket)
		}
	}
	e.st.timers.stop(e)
}

// arm sets the timer to the connection's or listener's deadline.
func (e *endpoint) arm() {
	e.st.timers.set(e, e.deadline())
}

func (e *endpoint) deadline() int64 {
	if l := e.Listener(); l != nil {
		return l.Deadline()
	}
	return e.Conn().Deadline()
}

// route makes sure that hop is of the router's present generation; false: there is no way now.
func (e *endpoint) route() bool {
	gen := e.st.wayGen()
	if e.hopGen == gen && e.hopGen != 0 {
		return true
	}
	f := &e.Conn().Flow
	hop, err := e.st.way(f.Remote.Addr(), f.Local.Addr())
	if err != nil {
		e.hopGen = 0
		return false
	}
	e.hop, e.hopGen = e.st.hops.shared(hop), gen
	e.st.asks.answered(e.hop)
	return true
}

func (e *endpoint) setHop(h Hop) {
	e.hop, e.hopGen = e.st.hops.shared(h), e.st.wayGen()
}

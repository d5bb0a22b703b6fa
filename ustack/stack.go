// Package ustack is the user-space TCP/IP stack: it joins virtual interfaces (efvi), the protocol layers and sockets.
//
// It runs to completion in the thread that calls it, one call at a time: no goroutine, lock or clock of its own. Time
// is an argument, in nanoseconds of CLOCK_MONOTONIC; a deadline of 0 means none.
//
//	Poll ──► rx.go: eth, ip, checksum ──► demux.go ──► tcp.Conn.Input ┐
//	sockets (usock) ──────────────────► tcp.Conn.Write, Read …       ├─► turn.go: Conn.Output,
//	timers.go ────────────────────────► tcp.Conn.OnTimer             ┘   timers, readiness
//	                                                                         │
//	one VI.Flush per turn ◄── tx.go: headers in front of the payload's frame ┘
package ustack

import (
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/eth"
	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Config is what a stack is made of.
type Config struct {
	Pool   *pbuf.Pool    // all frames: of every VI, and of all data queued for sending
	Rand   func() uint64 // unpredictable numbers
	Secret *tcp.Secret   // of sequence numbers and timestamps, shared with stacks of the same addresses before and after; nil: of its own
	Params *tcp.Params   // nil: tcp.DefaultParams
	Routes Router
	Sink   Sink // nil: nobody is told of readiness

	Registry Registry // nil: nobody is told of connections

	AnswerWait int64 // tcp.Answers.Wait, ns; Waits must be called then
}

// Sink is told of readiness.
type Sink interface {
	// Ready tells that readiness bits or edges of s changed. It must not call into the stack.
	Ready(s *usock.Socket)
}

// Registry is told of the connections there are, whether the program has them or not.
type Registry interface {
	// Opened: the connection takes packets from now on. A passive one is established.
	Opened(s *usock.Socket)
	// Gone: it does not any more (closed, in TIME-WAIT, reset, or moved to the kernel).
	Gone(s *usock.Socket)
	// Changed: the condition is another than the last time (0 at first). It is looked at once in each turn that touched the connection.
	Changed(now int64, s *usock.Socket, was, is tcp.Condition)
	// Stray asks, before a segment of an unknown flow is answered with a reset, whether the flow belongs to another stack.
	Stray(f *tcp.Flow) bool
	// Astray: this SYN, an IP packet that is good until the call returns, came to a listener, and the way back to its sender is by a device
	// that the stack does not have.
	Astray(syn []byte)
}

// Counters are what the stack counted, in the kernel's terms where the kernel has one.
type Counters struct {
	Eth *eth.Counters
	IP  *ip.Counters
	TCP *tcp.MIB

	TCPInCsumErrors uint64 // Tcp InCsumErrors in /proc/net/snmp
	MinTTLDrop      uint64 // TCPMinTTLDrop in /proc/net/netstat
	RxPayloadDrops  uint64 // segments whose payload was dropped because frames ran out; their ACK counted
	TxRingFull      uint64 // times a segment had to wait for a transmit ring
	NeighWaits      uint64 // times a segment had to wait for a neighbour's address
	NeighDrops      uint64 // packets dropped because too many waited
	RxPackets       uint64
	RxBytes         uint64
	TxPackets       uint64
	TxBytes         uint64
}

// Stack is one instance. It is not safe for use by two threads at once.
type Stack struct {
	late   []*tcp.Conn // see unanswered
	pool   *pbuf.Pool
	routes Router
	sink   Sink
	reg    Registry
	host   *tcp.Host
	cnt    Counters
	eth    eth.Layer
	ip     ip.Layer

	ports  []*port // by VI; a closed one's place is nil
	limbo  []bool  // its place waits for Reclaim
	nports int

	ringShare int // frames that each receive ring may hold: a quarter of the pool in all

	portGen uint32 // changes with ports

	table  table // connections
	lists  listeners
	timers timers
	gone   graves
	hops   hops
	wait   neighQueue
	asks   asks

	active  []*endpoint // had input or an event in this turn
	blocked blocked     // have segments that found no room
	hungry  []*endpoint // sockets whose program found no free frame
	roomGen uint64      // Router generation that blocked was last tried with
	room    bool        // a transmit ring or the pool has had room since

	made *endpoint // around the connection that is being made

	now  int64
	rx   rxState
	txIP ip.Header

	txParts [efvi.MaxParts]efvi.Part

	burst burst

	settler Settler // the Sink, if it is one
	early   early
}

// New makes a stack. An eighth of the pool's frames is kept from the program's data: see pbuf.Pool.SetReserve.
func New(c Config) *Stack {
	if c.Params == nil {
		c.Params = tcp.DefaultParams()
	}
	c.Pool.SetReserve(c.Pool.Len() / 8)
	s := &Stack{pool: c.Pool, routes: c.Routes, sink: c.Sink, reg: c.Registry, host: tcp.NewHost(c.Params, c.Pool, c.Rand)}
	s.host.Answers.Wait = c.AnswerWait
	s.cnt.Eth, s.cnt.IP, s.cnt.TCP = &s.eth.Counters, &s.ip.Counters, &s.host.MIB
	s.host.NewConn = s.makeConn
	s.settler, _ = c.Sink.(Settler)
	if c.Secret != nil {
		s.host.SetSecret(c.Secret)
	}
	s.table.init(c.Rand(), c.Rand())
	return s
}

// Counters are live: read them between calls.
func (s *Stack) Counters() *Counters { return &s.cnt }

// Host is what the connections share.
func (s *Stack) Host() *tcp.Host { return s.host }

// Listen makes a listener. local may have an unspecified address; "::" takes version 4 too unless IPV6_V6ONLY is set.
func (s *Stack) Listen(now int64, local netip.AddrPort, backlog int) (*usock.Socket, error) {
	e := &endpoint{st: s}
	l := tcp.Listen(s.host, tcp.Flow{Local: local}, backlog)
	e.InitListener(e, l, local.Addr().Is6()) // ::ffff:a.b.c.d, too, is a socket of AF_INET6
	s.lists.add(e, local)
	e.arm()
	return &e.Socket, nil
}

// Retire is for a listener that its program has closed, and that goes on for others who have it: what it has begun it brings to an
// end, and new connections are another listener's, if there is one.
func (s *Stack) Retire(l *usock.Socket) {
	s.lists.retire(l.Host().(*endpoint), l.Listener().Local.Local.Port())
}

// Urge repeats the SYN-ACKs of what is half open on a queue, which is about to go.
func (s *Stack) Urge(now int64, ifindex, queue int) {
	s.now = now
	for _, l := range s.lists.all {
		l.e.Listener().Urge(now, ifindex, queue, s)
		s.activate(l.e)
	}
	s.Settle(now)
}

// Bury tells that a flow is the kernel's though packets of it may lie in the rings: they are dropped, not answered with a reset.
func (s *Stack) Bury(now int64, f tcp.Flow) { s.gone.add(keyOf(f), now) }

// Adopt makes a connection from what it was in the kernel. v6 says that the program's socket is AF_INET6.
func (s *Stack) Adopt(now int64, snap *tcp.Snapshot, v6 bool) (*usock.Socket, error) {
	k := keyOf(snap.Flow)
	if s.table.find(&k) != nil {
		return nil, tcp.ErrInUse
	}
	hop, err := s.way(snap.Flow.Remote.Addr(), snap.Flow.Local.Addr())
	if err != nil {
		return nil, tcp.ErrNetUnreach
	}
	if _, err = tcp.Adopt(now, s.host, snap, tcp.Path{MTU: hop.MTU}); err != nil {
		return nil, err
	}
	s.gone.drop(k)
	e := s.newEndpoint(v6, true, usock.DefaultIPOptions())
	e.setHop(hop)
	e.opened()
	e.Turn(now)
	return &e.Socket, nil
}

// Each calls f for every socket: listeners, connections waiting in an accept queue, open ones, and those the program
// has closed and that are not over yet.
func (s *Stack) Each(f func(*usock.Socket)) {
	for _, l := range s.lists.all {
		f(&l.e.Socket)
	}
	s.table.each(func(e *endpoint) { f(&e.Socket) })
}

// Has tells whether there is a connection, or one half open or in TIME-WAIT.
func (s *Stack) Has(f tcp.Flow) bool {
	k := keyOf(f)
	return s.table.find(&k) != nil || s.host.Waits.State(f) != tcp.Closed ||
		slices.ContainsFunc(s.lists.all, func(l listener) bool { return l.e.Listener().Opening(f) })
}

// Waiting calls f for the established connections in a listener's accept queue, oldest first.
func (s *Stack) Waiting(l *usock.Socket, f func(*usock.Socket)) {
	l.Listener().Each(func(c *tcp.Conn) bool {
		f(l.Host().Wrap(c))
		return true
	})
}

// Free is the number of free frames.
func (s *Stack) Free() int { return s.pool.Available() }

// Conns is the number of connections.
func (s *Stack) Conns() int { return s.table.n }

// Frames, Unused and Received are how many frames there are, nobody has, and hold data that no program has read.
func (s *Stack) Frames() int   { return s.pool.Len() }
func (s *Stack) Unused() int   { return s.pool.Free() }
func (s *Stack) Received() int { return s.pool.Received() }

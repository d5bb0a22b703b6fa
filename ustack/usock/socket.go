// Package usock is the socket as the engine sees it: what a system call on an accelerated descriptor does, which bits
// poll(2) tells, and when an edge-triggered epoll would be woken. It holds no table and no device; the stack it is in
// is behind Host.
package usock

import (
	"net/netip"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// Bits of poll(2), which are those of epoll(7).
const (
	PollIn     = 0x001
	PollPri    = 0x002
	PollOut    = 0x004
	PollErr    = 0x008
	PollHup    = 0x010
	PollRdNorm = 0x040
	PollWrNorm = 0x100
	PollRdHup  = 0x2000
)

// RecvInfo is what recvmsg(2) tells besides the bytes.
type RecvInfo = tcp.RecvInfo

// Host is the stack around one socket.
type Host interface {
	// Turn sends what a call made due, arms the timer anew, tells of changed readiness and kicks the device.
	Turn(now int64)
	// Changed notes that readiness may have changed; the next Turn looks.
	Changed()
	// Short notes that a write was cut short; if it was for want of frames, Fed is called when there are some.
	Short()
	// Wrap is the socket of a connection that came out of the accept queue.
	Wrap(c *tcp.Conn) *Socket
	// CloseListener ends the listener.
	CloseListener(now int64)
	// PathMTU is the MTU of the way to the peer in bytes of IP packet.
	PathMTU() int
	// Leave takes the socket out of the stack's tables without a word to the peer.
	Leave(now int64)
}

// Socket is one connection or one listener.
type Socket struct {
	// Tag is the engine's name for the socket; the stack never looks at it.
	Tag int32
	// Slot and Ref are the engine's too: its place in the table of connections, and what it keeps beside.
	Slot int32
	Ref  any

	host Host
	conn *tcp.Conn     // nil for a listener
	lis  *tcp.Listener // nil for a connection
	ip   IPOptions

	v6       bool // AF_INET6: version 4 addresses are told as mapped ones
	accepted bool // the program has it
	closed   bool // the program has closed it
	edge     bool // since News looked

	edgeIn, edgeOut uint32
	ready           uint32 // as last told
	rxIfindex       int32
	rxQueue         int16
	firstTTL        uint8 // TTL or hop limit of the packet that made the connection; 0: it was not accepted here
}

// InitConn makes s the socket of a connection. accepted is false while it waits in an accept queue.
func (s *Socket) InitConn(h Host, c *tcp.Conn, v6, accepted bool, o IPOptions) {
	*s = Socket{Tag: -1, Slot: -1, host: h, conn: c, v6: v6, accepted: accepted, ip: o, rxIfindex: -1, rxQueue: -1}
	c.Owner = s
}

// InitListener makes s the socket of a listener.
func (s *Socket) InitListener(h Host, l *tcp.Listener, v6 bool) {
	*s = Socket{Tag: -1, Slot: -1, host: h, lis: l, v6: v6, accepted: true, ip: DefaultIPOptions(), rxIfindex: -1, rxQueue: -1}
	l.Owner = s
}

// Conn is the connection, nil for a listener.
func (s *Socket) Conn() *tcp.Conn { return s.conn }

// Listener is the listener, nil for a connection.
func (s *Socket) Listener() *tcp.Listener { return s.lis }

// Host is the stack's own part of the socket.
func (s *Socket) Host() Host { return s.host }

// IP are the options of the Internet layer.
func (s *Socket) IP() *IPOptions { return &s.ip }

// V6 tells whether this is an AF_INET6 socket.
func (s *Socket) V6() bool { return s.v6 }

// Accepted tells whether the program has the socket: false while it waits in an accept queue.
func (s *Socket) Accepted() bool { return s.accepted }

// Orphan tells whether the program has closed the socket while the connection goes on to its end.
func (s *Socket) Orphan() bool { return s.closed }

// LastRX is the interface and queue that the last packet came in on, -1 before the first.
func (s *Socket) LastRX() (ifindex, queue int) { return int(s.rxIfindex), int(s.rxQueue) }

// SetLastRX notes where a packet came in.
func (s *Socket) SetLastRX(ifindex, queue int) { s.rxIfindex, s.rxQueue = int32(ifindex), int16(queue) }

// State is the state of the connection or LISTEN.
func (s *Socket) State() tcp.State {
	if s.lis != nil {
		return tcp.Listening
	}
	return s.conn.State()
}

// Local is the socket's own address.
func (s *Socket) Local() netip.AddrPort {
	if s.lis != nil {
		return s.lis.Local.Local
	}
	return s.name(s.conn.Flow.Local)
}

// Remote is the peer's address; invalid for a listener.
func (s *Socket) Remote() netip.AddrPort {
	if s.lis != nil {
		return netip.AddrPort{}
	}
	return s.name(s.conn.Flow.Remote)
}

func (s *Socket) name(a netip.AddrPort) netip.AddrPort {
	if s.v6 && a.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	return a
}

package tcp

// Conn is one connection.
type Conn struct {
	Flow  Flow
	Owner Watcher // may be nil

	h   *Host
	snd sender
}

// Path is what the network layer knows about the way to the peer.
type Path struct {
	MTU int // of the way, IP header included
}

// Dial makes a connection in SYN-SENT; Output sends its SYN.
func Dial(now int64, h *Host, f Flow, p Path, o *Options) *Conn { return &Conn{Flow: f, h: h} }

// Input takes a segment of this connection. Output must follow.
func (c *Conn) Input(now int64, s *Segment, out Out) {}

// Output sends what is due: data, ACKs, a window update, a reset. It is cheap when nothing is.
func (c *Conn) Output(now int64, out Out) {}

// OnTimer does what is due. Output is part of it.
func (c *Conn) OnTimer(now int64, out Out) {}

// Deadline is when OnTimer wants to be called, 0 for never. It may have changed after every call on the connection.
func (c *Conn) Deadline() int64 { return 0 }

// State is the connection's state. A connection in TIME-WAIT is Closed: Host.Waits answers for it.
func (c *Conn) State() State { return Closed }

// Closed says that the connection takes no more segments: it must leave the table of flows. The program may still
// read what was received.
func (c *Conn) Closed() bool { return true }

// Read copies received bytes into iov. flags are those of recv(2) (MSG_PEEK, MSG_TRUNC, MSG_OOB). 0 without an error is
// the end of the stream. Output must follow: reading opens the window.
func (c *Conn) Read(now int64, iov [][]byte, flags int) (int, RecvInfo, error) {
	return 0, RecvInfo{}, ErrNotConn
}

// RecvInfo is what recvmsg(2) tells besides the bytes.
type RecvInfo struct {
	Flags int // MSG_OOB, MSG_TRUNC
}

// Write queues bytes and returns how many fitted; ErrAgain for none. flags are those of send(2) (MSG_MORE, MSG_OOB).
// Output must follow.
func (c *Conn) Write(now int64, iov [][]byte, flags int) (int, error) { return 0, ErrNotConn }

// Shutdown is shutdown(2): how is SHUT_RD, SHUT_WR or SHUT_RDWR. Output must follow.
func (c *Conn) Shutdown(now int64, how int) error { return nil }

// Close is close(2): the program is gone, the connection ends by itself. Output must follow. linger says how long
// (ns) a blocking close should wait for the connection to be closed, 0 not at all.
func (c *Conn) Close(now int64) (linger int64) { return 0 }

// Abort ends the connection with a reset. Output must follow.
func (c *Conn) Abort(now int64) {}

// Poll is the mask of poll(2), as the kernel's tcp_poll tells it.
func (c *Conn) Poll() uint32 { return 0 }

// TakeError is SO_ERROR: the pending error, which is then cleared.
func (c *Conn) TakeError() error { return nil }

// InQ is SIOCINQ: how many bytes Read would give before urgent data. OutQ is SIOCOUTQ, OutQNSD is SIOCOUTQNSD.
func (c *Conn) InQ() int     { return 0 }
func (c *Conn) OutQ() int    { return 0 }
func (c *Conn) OutQNSD() int { return 0 }

// AtMark is SIOCATMARK: the next byte to read is the urgent one.
func (c *Conn) AtMark() bool { return false }

// SetOption and Option are setsockopt(2) and getsockopt(2) for SOL_SOCKET and IPPROTO_TCP; ErrNoProtoOpt for an option
// that is not of TCP. Output must follow SetOption.
func (c *Conn) SetOption(now int64, level, name int, val []byte) error     { return ErrNoProtoOpt }
func (c *Conn) Option(now int64, level, name int, out []byte) (int, error) { return 0, ErrNoProtoOpt }

// PathMTU tells of a new MTU of the way: by ICMP when quoted is the sequence number it quoted, by a route change.
func (c *Conn) PathMTU(now int64, mtu int, quoted Seq, icmp bool) {}

// SoftError tells of an ICMP error that quoted a segment numbered quoted.
func (c *Conn) SoftError(now int64, err error, quoted Seq, hard bool) {}

// Options are the socket options that a listener's connections inherit.
type Options struct{}

// Listener is a socket in LISTEN.
type Listener struct {
	Local   Flow // Remote is unset
	Owner   Watcher
	Options Options
}

// Listen makes a listener. backlog is listen(2)'s.
func Listen(h *Host, local Flow, backlog int) *Listener { return &Listener{Local: local} }

// Input takes a segment for the listener's port that belongs to no connection and no TIME-WAIT; mtu is that of the
// way back. It returns the connection that a handshake ended with, which must be put into the table of flows before
// its Output is called; it is in the accept queue already. isn, when not 0, is the initial number that TimeWaits.Input asked for.
func (l *Listener) Input(now int64, f *Flow, s *Segment, p Path, isn Seq, out Out) *Conn { return nil }

// Accept takes the oldest established connection, nil when there is none.
func (l *Listener) Accept(now int64) *Conn { return nil }

// SetBacklog is listen(2) called again.
func (l *Listener) SetBacklog(backlog int) {}

// OnTimer and Deadline are as Conn's: the timers of half-open connections.
func (l *Listener) OnTimer(now int64, out Out) {}
func (l *Listener) Deadline() int64            { return 0 }

// HalfOpen is how many connections that came in over a device's queue wait for the handshake's last ACK.
func (l *Listener) HalfOpen(ifindex, queue int) int { return 0 }

// Waiting is how many established connections were not accepted yet; Each calls f for them, oldest first.
func (l *Listener) Waiting() int            { return 0 }
func (l *Listener) Each(f func(*Conn) bool) {}

// Close ends the listener: connections not accepted yet are reset, as the kernel does.
func (l *Listener) Close(now int64, out Out) {}

// Verdict is what TimeWaits.Input found.
type Verdict uint8

// What to do with a segment that was offered to TimeWaits.
const (
	NotWaiting Verdict = iota // no such flow
	Handled                   // done
	NewSYN                    // a new incarnation: give it to the listener with the returned initial number
)

// TimeWaits are the flows in TIME-WAIT.
type TimeWaits struct{}

// Input takes a segment of a flow that no connection has.
func (t *TimeWaits) Input(now int64, f *Flow, s *Segment, listening bool, out Out) (Verdict, Seq) {
	return NotWaiting, 0
}

// Busy says whether a local port cannot be used for a new connection of that flow yet.
func (t *TimeWaits) Busy(now int64, f *Flow) bool { return false }

// OnTimer and Deadline are as Conn's.
func (t *TimeWaits) OnTimer(now int64) {}
func (t *TimeWaits) Deadline() int64   { return 0 }

// Reset answers a segment for which there is no connection, RFC 9293 §3.10.7.1.
func Reset(h *Host, f *Flow, s *Segment, out Out) {}

// Snapshot is a connection that moves between this stack and the kernel: everything TCP_REPAIR takes.
type Snapshot struct {
	Flow  Flow
	State State

	SndUna, SndNxt, RcvNxt Seq    // of the stream: SYN counted, FIN too once sent or received
	Unacked, Unsent        []byte // [SndUna, SndNxt) without FIN, and what was never sent
	Unread                 []byte // received, in order, not read by the program

	FINQueued, FINSent, FINReceived bool

	MSS                    uint16 // the peer's MSS option
	SndScale, RcvScale     uint8
	Scaling, SACK          bool
	Timestamps             bool
	TSVal, TSRecent        uint32 // our clock now, the peer's last
	SndWnd, MaxWnd, RcvWnd uint32
	SndWL1, RcvWup         Seq
	Options                Options
}

// Freeze stops all input, output and timers of the connection and returns what it is. ErrCannotMove in a state that
// the kernel cannot be given.
func (c *Conn) Freeze(now int64) (*Snapshot, error) { return nil, ErrCannotMove }

// Thaw undoes Freeze. Output must follow.
func (c *Conn) Thaw(now int64) {}

// Forget drops a frozen connection without a word to the peer.
func (c *Conn) Forget(now int64) {}

// Adopt makes a connection from a snapshot. Output must follow.
func Adopt(now int64, h *Host, s *Snapshot, p Path) (*Conn, error) { return nil, ErrCannotMove }

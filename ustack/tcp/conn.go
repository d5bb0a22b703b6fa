package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// Conn is one connection: the state machine and the receiving half; the sending half is snd. Whoever calls it runs in
// one thread.
//
// Receive sequence space:
//
//	    copied           rcvNxt                    rcvWup+rcvWnd
//	------|-----------------|----------------------------|-------------> sequence space
//	 read | rq: in order    | window, parts may be in ooo| not allowed
type Conn struct {
	Flow  Flow
	Owner Watcher // may be nil

	// Where the last segment came in.
	Ifindex, Queue int32

	h   *Host
	opt *Options // may be shared with the listener: see ownOptions
	err error    // SO_ERROR

	state State
	shut  shutdown
	flags connFlags

	probesOut uint8 // keepalive probes unanswered

	mtu      uint16 // of the way to the peer, IP header included
	peerMSS  uint16 // the peer's MSS option
	advMSS   uint16 // what we announced, minus the timestamp
	sndScale uint8  // shift of windows we receive
	rcvScale uint8  // shift of windows we send

	rcvNxt Seq
	rcvWup Seq    // rcvNxt when the window was last told
	rcvWnd uint32 // the window then told
	copied Seq    // next byte the program reads
	rq     recvQueue
	ooo    *reassembly // nil while nothing is out of order
	dsack  dsackBlock
	win    window
	ack    ackState
	paws   pawsState
	urg    urgentState

	sndUp    Seq   // one past the urgent byte we sent last
	lastSeq  Seq   // number of the segment that flagRST or flagLastACK asks for
	keepAt   int64 // keepalive, or FIN-WAIT-2's end
	lastRecv int64 // any acceptable segment
	bytesIn  uint64
	bytesOut uint64 // acknowledged
	segsIn   uint32
	dataIn   uint32 // segments with data
	segsOut  uint32
	dataOut  uint32

	rare *rare // nil for most

	snd sender // its end, and what follows, ordinary segments do not touch

	irs   Seq
	oooIn uint32 // segments that came out of order
	oowAt int64  // last answer to an unacceptable segment
}

// connFlags are the yes-or-no facts of a connection.
type connFlags uint16

const (
	flagTS      connFlags = 1 << iota // timestamps agreed on
	flagWScale                        // window scaling agreed on
	flagSACK                          // the peer understands SACK
	flagECN                           // ECN agreed on
	flagDemand                        // tell ECE until the peer says CWR
	flagOrphan                        // the program has closed
	flagFrozen                        // being moved: nothing in, nothing out
	flagFINRcvd                       // the peer's FIN is in rcvNxt
	flagRST                           // a reset must go out, Closed as we are
	flagLastACK                       // an ACK must go out, Closed as we are, ahead of the reset if there is one
	flagSYNACK                        // a SYN-ACK must go out (simultaneous open)
	flagOwnOpt                        // opt is ours alone
	flagSYNData                       // data on the SYN or SYN-ACK was taken: TCPI_OPT_SYN_DATA
	flagQueued                        // waits in an accept queue
)

func (c *Conn) is(f connFlags) bool { return c.flags&f != 0 }
func (c *Conn) set(f connFlags)     { c.flags |= f }
func (c *Conn) clear(f connFlags)   { c.flags &^= f }

// shutdown is which directions are shut, as sk_shutdown.
type shutdown uint8

const (
	shutRecv shutdown = 1 << iota
	shutSend
	shutBoth = shutRecv | shutSend
)

// Path is what the network layer knows about the way to the peer.
type Path struct {
	MTU int // of the way, IP header included
}

func (c *Conn) setMTU(mtu int) { c.mtu = uint16(min(max(mtu, 0), 65535)) }

// State is the connection's state. A connection in TIME-WAIT is Closed: Host.Waits answers for it.
func (c *Conn) State() State { return c.state }

// Closed says that the connection takes no more segments: it must leave the table of flows, after a last Output. The
// program may still read what was received.
func (c *Conn) Closed() bool { return c.state == Closed }

// Fetch begins to bring in what a segment needs beside the connection itself: see pbuf.Fetch.
func (c *Conn) Fetch() {
	pbuf.Fetch(c.snd.q.head)
	switch cc := c.snd.cc.(type) {
	case *cubic:
		pbuf.Fetch(cc)
	case *bbr:
		pbuf.Fetch(cc)
	case *bbr3:
		pbuf.Fetch(cc)
	}
}

// Orphan says that the program has closed the connection, so that nothing of it is needed once it is Closed.
func (c *Conn) Orphan() bool { return c.is(flagOrphan) }

// Deadline is when OnTimer wants to be called, 0 for never. It may have changed after every call on the connection.
func (c *Conn) Deadline() int64 {
	if c.is(flagFrozen) || c.state == Closed {
		return 0
	}
	d := earlier(earlier(c.snd.deadline(), c.ack.timer()), c.keepAt)
	if c.ooo != nil {
		d = earlier(d, c.ooo.comp.at)
	}
	return d
}

// earlier is the earlier of two deadlines, where 0 is never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// OnTimer does what is due. Output is part of it.
func (c *Conn) OnTimer(now int64, out Out) {
	if c.is(flagFrozen) || c.state == Closed {
		return
	}
	if c.is(flagOrphan) && c.snd.tmr.at != 0 && c.snd.tmr.at <= now {
		c.orphanTimer(now)
	}
	if at := c.snd.deadline(); at != 0 && at <= now && c.state != Closed {
		r := c.snd.onTimer(now)
		if r.err != nil {
			c.timedOut(now)
		} else if r.synack {
			c.set(flagSYNACK)
		}
	}
	if at := c.ack.timer(); at != 0 && at <= now {
		c.delackTimer(now)
	}
	if c.ooo != nil && c.ooo.comp.at != 0 && c.ooo.comp.at <= now {
		c.compTimer()
	}
	if c.keepAt != 0 && c.keepAt <= now && c.state != Closed {
		c.keepTimer(now, out)
	}
	c.Output(now, out)
}

// timedOut ends the connection because the peer did not answer: "When the number of transmissions of the same segment
// reaches a threshold R2 [...] close the connection" RFC 9293 §3.8.3. An ICMP error that came meanwhile says more.
func (c *Conn) timedOut(now int64) {
	err := ErrTimeout
	if c.rare != nil && c.rare.soft != nil {
		err = c.rare.soft
	}
	c.h.MIB.TCPAbortOnTimeout++
	c.fail(now, err)
}

// fail ends the connection with an error for the program.
func (c *Conn) fail(now int64, err error) {
	c.err = err
	c.done(now)
}

// done makes the connection Closed and wakes the program, as the kernel's tcp_done.
func (c *Conn) done(now int64) {
	if c.state == Closed {
		return
	}
	if c.state.in(SynSent, SynReceived) {
		c.h.MIB.AttemptFails++
	}
	c.leaveFast(now, false)
	c.state, c.shut = Closed, shutBoth
	c.endAnswer()
	c.ack = ackState{}
	c.keepAt = 0
	c.endNotes()
	if n := c.snd.queued(); n > 0 {
		x := c.rarely()
		x.gone, x.goneUnsent = n, c.snd.unsent()
	}
	c.snd.drop()
	c.dropReassembly()
	if c.is(flagOrphan) {
		c.rq.drop()
		c.h.orphans--
	}
	c.wake(true, true)
}

// wake tells the program.
func (c *Conn) wake(in, out bool) {
	if c.Owner != nil && !c.is(flagOrphan) {
		c.Owner.TCPEvent(in, out)
	}
}

// iplen is the length of the IP header.
func (f *Flow) iplen() int {
	if f.Remote.Addr().Unmap().Is4() {
		return 20
	}
	return 40
}

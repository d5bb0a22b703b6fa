package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// rcvData puts a segment's text where it belongs, as tcp_data_queue: at the end of the queue, into reassembly, or
// nowhere when it is old or beyond the window.
func (c *Conn) rcvData(now int64, s *Segment) {
	edge := c.rcvNxt.Add(c.offered())
	switch {
	case s.end().LEQ(c.rcvNxt): // a retransmission: the ACK got lost
		c.h.MIB.DelayedACKLost++
		c.setDSACK(s.Seq, s.end())
		c.outOfWindow()
	case s.Seq.GT(c.rcvNxt) && s.Seq.GEQ(edge), c.offered() == 0 && s.Size() > 0: // a zero-window probe, for instance
		c.h.MIB.TCPZeroWindowDrop++
		c.outOfWindow()
	case s.Seq.GT(c.rcvNxt):
		c.rcvAhead(now, s)
	default:
		c.rcvInOrder(now, s)
	}
}

// outOfWindow acknowledges at once: "an immediate ACK" tells the sender where we are.
func (c *Conn) outOfWindow() {
	c.quickMode(maxQuick)
	c.ack.pending |= ackScheduled | ackNow
}

// rcvInOrder takes a segment that begins at RCV.NXT or before.
func (c *Conn) rcvInOrder(now int64, s *Segment) {
	old := c.rcvNxt.Sub(s.Seq)
	if old > 0 {
		c.setDSACK(s.Seq, c.rcvNxt)
		old = min(old, s.Size())
	}
	n := s.Size() - old
	if n > 0 {
		if c.starved() && c.rq.bytes > 0 || !c.enqueueFrom(s, old) {
			c.h.MIB.TCPRcvQDrop++ // as if lost; what is queued must be read first
			c.ack.pending |= ackScheduled | ackNow
			if c.rq.bytes > 0 {
				c.ack.pending |= ackNoMem
			}
			if c.readable() {
				c.wake(true, false)
			}
			return
		}
		c.advance(n)
		c.received(now, s)
	}
	if s.Flags.Any(wire.FIN) {
		if n == 0 && c.offered() == 0 { // into a closed window: a peer that does so may repeat it quickly
			c.ack.pending |= ackNow
		}
		c.rcvFIN(now)
		return
	}
	if c.ooo != nil {
		c.deliver()
		if c.ooo == nil || len(c.ooo.runs) == 0 { // "SHOULD send an immediate ACK when it receives a data segment that fills in all or part of a gap" RFC 5681 §4.2
			c.ack.pending |= ackScheduled | ackNow
		}
	}
	if c.finAt() {
		c.ack.pending |= ackNow // the segment filled the gap in front of the FIN
		c.rcvFIN(now)
		return
	}
	if c.readable() {
		c.wake(true, false)
	}
}

// rcvAhead takes a segment that leaves a hole. "A TCP receiver SHOULD send an immediate duplicate ACK when an
// out-of-order segment arrives" RFC 5681 §3.2.
func (c *Conn) rcvAhead(now int64, s *Segment) {
	c.ack.pending |= ackScheduled
	if s.Size() > 0 {
		c.measureMSS(s)
		if c.queueAhead(s) && c.is(flagSACK) { // who doesn't SACK needs duplicate ACKs: the same window
			c.growWindow(s.Size())
		}
		if !c.is(flagQueued) { // a program has it
			c.growBuffer(c.win.space)
		}
	}
	if s.Flags.Any(wire.FIN) {
		c.setFIN(s.end().Add(-1))
	}
}

// setFIN remembers where the peer's stream ends, when the FIN comes before the data in front of it.
func (c *Conn) setFIN(at Seq) {
	if c.ooo == nil {
		c.ooo = c.h.newReassembly()
	}
	c.ooo.fin, c.ooo.finSeq = true, at
}

// finAt says whether the stream has reached the FIN that came early. deliver keeps the reassembly while it waits.
func (c *Conn) finAt() bool {
	if c.ooo == nil || !c.ooo.fin || c.ooo.finSeq != c.rcvNxt {
		return false
	}
	c.dropReassembly()
	return true
}

// advance moves RCV.NXT over n bytes.
func (c *Conn) advance(n int) {
	c.rcvNxt = c.rcvNxt.Add(n)
	c.bytesIn += uint64(n)
}

// rcvFIN is eighth, "check the FIN bit": "If the FIN bit is set, signal the user "connection closing" and return any
// pending RECEIVEs with same message, advance RCV.NXT over the FIN, and send an acknowledgment for the FIN."
func (c *Conn) rcvFIN(now int64) {
	c.advance(1)
	c.bytesIn--
	c.set(flagFINRcvd)
	c.shut |= shutRecv
	c.ack.pending |= ackScheduled
	c.dropReassembly()  // something behind the FIN: nonsense
	c.dsack.due = false // tcp_sack_reset: what was repeated in front of it is not reported
	switch c.state {
	case SynReceived, Established:
		c.state = CloseWait
		c.ack.pingpong = true
	case FinWait1:
		// "If our FIN has been ACKed (perhaps in this segment), then enter TIME-WAIT [...]; otherwise, enter the CLOSING
		// state." The first was done by ackFinWait1.
		c.state = Closing
		c.ack.pending |= ackNow
	case FinWait2:
		c.enterTimeWait(now)
		return
	}
	c.wake(true, true)
}

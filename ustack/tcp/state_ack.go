package tcp

// What an acceptable ACK does beyond moving SND.UNA, by state: RFC 9293 §3.10.7.4, "fifth, check the ACK field".

// ackSynReceived: "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state and continue processing".
func (c *Conn) ackSynReceived(now int64, s *Segment) {
	if c.halfFast() {
		c.state = Established
		c.fastAcked(now)
	} else {
		c.establish(now)
	}
	c.snd.setPeerWindow(s.Seq, uint32(s.Wnd)<<c.sndScale)
	if c.shut&shutSend != 0 {
		c.snd.queueFIN(now)
		c.state = FinWait1
	}
	c.wake(true, true)
}

// finAcked says whether everything, the FIN too, is acknowledged.
func (c *Conn) finAcked() bool { return c.snd.una == c.snd.end }

// ackFinWait1: "if the FIN segment is now acknowledged, then enter FIN-WAIT-2 and continue processing in that state".
func (c *Conn) ackFinWait1(now int64, s *Segment, out Out) {
	if !c.finAcked() {
		return
	}
	c.state = FinWait2
	c.shut |= shutSend
	if !c.is(flagOrphan) {
		c.wake(true, true) // a lingering close waits for this
		return
	}
	end := s.Seq.Add(s.Size())
	switch {
	case c.opt.Linger2 < 0, s.Size() > 0 && end.GT(c.rcvNxt):
		c.h.MIB.TCPAbortOnData++
		Reset(c.h, &c.Flow, s, out)
		c.done(now)
	default:
		c.orphanFinWait2(now, s.len() > 0)
	}
}

// ackClosing: "if the ACK acknowledges our FIN, then enter the TIME-WAIT state; otherwise, ignore the segment."
func (c *Conn) ackClosing(now int64) {
	if c.finAcked() {
		c.enterTimeWait(now)
	}
}

// ackLastAck: "The only thing that can arrive in this state is an acknowledgment of our FIN. If our FIN is now
// acknowledged, delete the TCB, enter the CLOSED state, and return."
func (c *Conn) ackLastAck(now int64) {
	if c.finAcked() {
		c.done(now)
	}
}

package tcp

// When to acknowledge, as the kernel decides: at once while the sender starts or is suspected to start, after two full
// segments, when a hole is filled or seen, and otherwise late, in the hope of data to carry the ACK. "An ACK SHOULD be
// generated for at least every second full-sized segment or 2*RMSS bytes of new data" and "the delay MUST be less than
// 0.5 seconds" RFC 9293 §3.8.6.3 (SHLD-19, MUST-40).

const millisecond = int64(1e6)

// Linux' TCP_ATO_MIN, TCP_DELACK_MIN, TCP_DELACK_MAX and TCP_MAX_QUICKACKS.
const (
	atoMin    = 40 * millisecond
	delackMin = 40 * millisecond
	delackMax = 200 * millisecond
	maxQuick  = 16
)

// ackState is what is known about ACKs that are due.
type ackState struct {
	at       int64 // delayed ACK timer, 0 off; with ackAnswer: until when the ACK waits for an answer
	ato      int64 // estimate of the time between segments, 0 before the first one
	lastData int64 // when data came in last
	rcvMSS   uint16
	lastLen  uint16 // length of the last short segment
	pending  ackFlags
	quick    uint8 // ACKs to send without delay
	pingpong bool  // requests and answers alternate: delay ACKs
}

type ackFlags uint16

const (
	ackScheduled ackFlags = 1 << iota // an ACK is owed
	ackNow                            // and must not wait
	ackPushed                         // a short segment came
	ackPushed2                        // another one came before it was acknowledged
	ackMore                           // another segment came before it was acknowledged
	ackHeld                           // data is ready to carry the ACK: it waits for the timer, or for something to acknowledge
	ackNoMem                          // what came had no room: the window is closed until the program reads
	ackAnswer                         // it waits for the answer to what came, until at: answer.go
	ackRead                           // and the program has read all that came
	ackWait                           // waits of the program that do not count yet: two bits

	ackWaits = 3 * ackWait
)

// initRcvMSS guesses the peer's segment size, as tcp_initialize_rcv_mss.
func (c *Conn) initRcvMSS() {
	c.ack.rcvMSS = uint16(max(min(int(c.advMSS), c.snd.mss, int(c.rcvWnd)/2, 536), 88))
}

// received is tcp_event_data_recv: data came in order.
func (c *Conn) received(now int64, s *Segment) {
	a := &c.ack
	if a.pending&ackScheduled != 0 {
		a.pending |= ackMore
	}
	a.pending = a.pending&^ackHeld | ackScheduled
	c.measureMSS(s)
	c.measureRTT(now, s)
	switch gap := now - a.lastData; {
	case a.ato == 0:
		c.quickAcks(maxQuick)
		a.ato = atoMin
	case gap <= atoMin/2:
		a.ato = a.ato/2 + atoMin/2
	case gap < a.ato:
		a.ato = min(a.ato/2+gap, c.rto())
	case gap > c.rto():
		c.quickAcks(maxQuick) // the sender begins again after an idle time
	}
	a.lastData = now
	if s.Size() >= 128 {
		c.growWindow(s.Size())
	}
}

// measureMSS follows the size of the peer's segments, as tcp_measure_rcv_mss. Of segments that came as one packet nobody tells how long they
// were (the kernel has gso_size): as long as those seen before, or as the peer takes itself.
func (c *Conn) measureMSS(s *Segment) {
	a, n := &c.ack, uint16(s.Size())
	if n > c.advMSS && c.peerMSS > 0 {
		n = min(c.advMSS, c.peerMSS)
		if c.is(flagTS) {
			n -= 12
		}
		n = max(n, a.rcvMSS)
	}
	if n >= a.rcvMSS {
		a.rcvMSS = min(n, max(c.advMSS, a.rcvMSS))
		if s.Flags.Any(pshFlag) {
			a.pending |= ackPushed // the end of a write: nothing more may come soon
		}
		return
	}
	if n >= 536 || n >= 88 && s.Flags&^ackFlag == 0 {
		last := a.lastLen
		a.lastLen = n
		if n == last {
			a.rcvMSS = n
			return
		}
	}
	if a.pending&ackPushed != 0 {
		a.pending |= ackPushed2
	}
	a.pending |= ackPushed
}

// quickAcks asks for immediate ACKs of about half a window, at most limit.
func (c *Conn) quickAcks(limit int) {
	n := 2
	if c.ack.rcvMSS > 0 {
		n = max(int(c.rcvWnd)/(2*int(c.ack.rcvMSS)), 2)
	}
	c.ack.quick = max(c.ack.quick, uint8(min(n, limit)))
}

// quickMode leaves the interactive mode and acknowledges at once for a while.
func (c *Conn) quickMode(limit int) {
	c.quickAcks(limit)
	c.ack.pingpong = false
	c.ack.ato = atoMin
}

// ackDue says whether an ACK should leave now; when not, but one is owed, the timer is set. It is the kernel's
// __tcp_ack_snd_check.
func (c *Conn) ackDue(now int64) bool {
	a := &c.ack
	if a.pending&ackScheduled == 0 || a.pending&ackHeld != 0 {
		return false
	}
	if c.manyIn() {
		return true
	}
	if a.pending&ackNow != 0 {
		return true
	}
	switch {
	case c.awaitAnswer(now):
		return false
	case a.quick > 0 && !a.pingpong, a.pending&ackAnswer != 0:
		return true
	}
	if c.ooo != nil {
		return c.ooo.comp.at == 0
	}
	return c.delayAck(now)
}

// manyIn: more than one full segment came in order, and the window need not wait for the program.
func (c *Conn) manyIn() bool {
	return c.twoIn() &&
		(c.rcvNxt.Sub(c.copied) < c.opt.RcvLowat || c.windowToOffer() >= int(c.rcvWnd))
}

// delayAck sets the timer, as tcp_send_delayed_ack. It says true when the ACK had better leave now.
func (c *Conn) delayAck(now int64) bool {
	a := &c.ack
	ato := a.ato
	if ato == 0 { // nothing but a FIN came so far: no estimate, so the kernel's timer fires at its next tick
		a.at = now + millisecond
		return false
	}
	if ato > delackMin {
		limit := int64(500 * millisecond)
		if a.pingpong || a.pending&ackPushed != 0 {
			limit = delackMax
		}
		if rtt := c.srtt(); rtt > 0 {
			limit = min(limit, max(rtt, delackMin))
		}
		ato = min(ato, limit)
	}
	ato = min(max(ato, delackMin), delackMax)
	if a.at != 0 {
		if a.at <= now+ato/4 {
			return true
		}
		a.at = min(a.at, now+ato)
		return false
	}
	a.at = now + ato
	return false
}

// timer is when the delayed ACK timer goes off, 0 never.
func (a *ackState) timer() int64 {
	if a.pending&ackAnswer != 0 {
		return 0
	}
	return a.at
}

// delackTimer is the delayed ACK timer going off.
func (c *Conn) delackTimer(now int64) {
	a := &c.ack
	a.at = 0
	if a.pending&ackScheduled == 0 {
		return
	}
	if a.pingpong {
		a.pingpong, a.ato = false, atoMin
	} else {
		a.ato = min(a.ato*2, c.rto())
	}
	a.pending = a.pending&^ackHeld | ackNow
	c.h.MIB.DelayedACKs++
}

// acked is called when a segment with ACK left: it carried whatever was owed.
func (c *Conn) acked() {
	a := &c.ack
	if a.quick > 0 && a.pending&ackScheduled != 0 {
		if a.quick--; a.quick == 0 {
			a.ato = atoMin
		}
	}
	c.endAnswer()
	a.pending, a.at = 0, 0
	c.dsack.due = false
	c.ackedAhead()
}

// dataSent is called when data left: an answer within the ato of a request means that the two alternate.
func (c *Conn) dataSent(now int64) {
	if now-c.ack.lastData < c.ack.ato {
		c.ack.pingpong = true
	}
}

// readAcks says whether an ACK that is scheduled leaves after a read; all: of all that waits.
func (c *Conn) readAcks(all bool) bool {
	a := &c.ack
	if a.pending&ackScheduled == 0 {
		return false
	}
	pushed := a.pending&(ackPushed2|ackAnswer) != 0 || a.pending&ackPushed != 0 && !a.pingpong
	return c.twoIn() || all && pushed
}

// twoIn: more than one full segment is not acknowledged yet. A FIN, which the kernel counts, is not if its ACK may wait for ours.
func (c *Conn) twoIn() bool {
	n := c.rcvNxt.Sub(c.rcvWup)
	if c.mayEnd() {
		n--
	}
	return n > int(c.ack.rcvMSS)
}

// readUnseen says that nothing would leave after a read of all that waits: it may become known later.
func (c *Conn) readUnseen() bool {
	unseen := !c.readAcks(true) || c.ack.pending&ackAnswer != 0 && !c.twoIn()
	return unseen && 2*c.offered() > c.win.clamp
}

// afterRead decides whether reading n bytes lets an ACK leave, as tcp_cleanup_rbuf.
func (c *Conn) afterRead(n int) {
	a := &c.ack
	if c.readAcks(n > 0 && c.rq.bytes == 0) {
		if a.pending&ackAnswer != 0 && !c.twoIn() {
			c.readUnanswered()
		} else {
			a.pending |= ackNow
		}
		return
	}
	if n == 0 || c.shut&shutRecv != 0 || !c.state.in(Established, FinWait1, FinWait2) {
		return
	}
	if left := c.offered(); 2*left <= c.win.clamp {
		if wnd := c.windowToOffer(); wnd > 0 && wnd >= 2*left {
			a.pending |= ackScheduled | ackNow
		}
	}
}

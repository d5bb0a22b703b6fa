package tcp

// Shutdown is shutdown(2): how is SHUT_RD, SHUT_WR or SHUT_RDWR. Output must follow.
func (c *Conn) Shutdown(now int64, how int) error {
	if how < shutRD || how > shutRDWR {
		return ErrInval
	}
	if c.is(flagFrozen) {
		return ErrFrozen
	}
	switch c.state {
	case Closed:
		c.wake(true, true)
		return ErrNotConn
	case SynSent: // nothing to shut yet: the attempt ends
		c.fail(now, ErrReset)
		return nil
	}
	if how != shutWR {
		c.shut |= shutRecv
	}
	if how != shutRD {
		c.shut |= shutSend
		if c.state.in(Established, CloseWait) {
			c.closeSend(now)
		}
	}
	c.wake(true, true)
	return nil
}

// closeSend is the CLOSE call of RFC 9293 §3.10.4: "Queue this until all preceding SENDs have been segmentized, then form
// a FIN segment and send it." From ESTABLISHED to FIN-WAIT-1, from CLOSE-WAIT to LAST-ACK.
func (c *Conn) closeSend(now int64) {
	switch c.state {
	case SynReceived: // "queue for processing after entering ESTABLISHED state"
		if c.halfFast() {
			c.snd.queueFIN(now)
			c.state = FinWait1
		}
	case Established:
		c.snd.queueFIN(now)
		c.state = FinWait1
	case CloseWait:
		c.snd.queueFIN(now)
		c.state = LastAck
	}
}

// Close is close(2): the program is gone, the connection ends by itself. Output must follow. The result says how long
// (ns) a close of a blocking socket with SO_LINGER should wait for Lingering to become false, 0 not at all.
func (c *Conn) Close(now int64) (linger int64) {
	if c.is(flagOrphan) {
		return 0
	}
	unread := c.rq.bytes > 0
	c.rq.drop()
	c.shut = shutBoth
	if c.state == Closed {
		return 0
	}
	switch {
	case unread:
		// "If such a host issues a CLOSE call while received data is still pending in TCP, or if new data is received
		// after CLOSE is called, its TCP SHOULD send a RST to show that data was lost." RFC 1122 §4.2.2.13, RFC 2525 §2.17
		c.h.MIB.TCPAbortOnClose++
		c.Abort(now)
		return 0
	case c.opt.Linger && c.opt.LingerTime == 0:
		c.h.MIB.TCPAbortOnData++
		c.Abort(now)
		return 0
	case c.state == SynSent: // "delete the TCB and return "error: closing" responses"
		c.orphanize(now)
		c.done(now)
		return 0
	}
	c.closeSend(now)
	c.orphanize(now)
	if c.state == FinWait2 {
		c.orphanFinWait2(now, false)
	}
	if c.state != Closed && c.h.tooManyOrphans(0) {
		c.endOrphan(now)
		return 0
	}
	if c.opt.Linger {
		return c.opt.LingerTime
	}
	return 0
}

// Lingering says whether close(2) with SO_LINGER would still wait: something is unacknowledged.
func (c *Conn) Lingering() bool { return c.state.in(FinWait1, Closing, LastAck) }

// orphanize marks the connection as one without a program.
func (c *Conn) orphanize(now int64) {
	c.set(flagOrphan)
	c.snd.orphan = true
	c.h.orphans++
	c.keepAt = 0
}

// tooManyOrphans says whether connections that no program has any more are past tcp_max_orphans; one that is suspect
// counts 2^shift times.
func (h *Host) tooManyOrphans(shift int) bool { return h.orphans<<shift > h.Params.MaxOrphans }

// endOrphan resets an orphan for which there is no room.
func (c *Conn) endOrphan(now int64) {
	c.h.MIB.TCPAbortOnMemory++
	c.sendReset(now)
	c.done(now)
}

// orphanTimer is tcp_out_of_resources, when the timer of an orphan's data goes off: one that sent nothing for long, or of
// which an ICMP error told, is the first to go.
func (c *Conn) orphanTimer(now int64) {
	shift := 0
	if now-c.snd.lastSent > 2*c.snd.rtoMax() {
		shift++
	}
	if c.rare != nil && c.rare.soft != nil {
		shift++
	}
	if c.h.tooManyOrphans(shift) {
		c.endOrphan(now)
	}
}

// Abort ends the connection with a reset where the peer believes in one. Output must follow.
func (c *Conn) Abort(now int64) {
	if c.is(flagFrozen) {
		return
	}
	if c.state.in(SynReceived, Established, FinWait1, FinWait2, CloseWait) ||
		c.state.in(Closing, LastAck) && c.snd.nxt != c.snd.end {
		c.sendReset(now)
	}
	c.rq.drop()
	c.done(now)
}

// orphanFinWait2 lets a connection that nobody has any more wait for the peer's FIN no longer than tcp_fin_timeout (or
// TCP_LINGER2), as the kernel does against RFC 9293, which has no such limit. The rest of the wait needs no connection:
// see TimeWaits.
func (c *Conn) orphanFinWait2(now int64, finToCome bool) {
	wait := c.finTime()
	switch {
	case c.opt.Linger2 < 0:
		c.h.MIB.TCPAbortOnLinger++
		c.sendReset(now)
		c.done(now)
	case wait > timeWaitLen:
		c.keepAt = now + wait - timeWaitLen
	case finToCome:
		c.keepAt = now + wait
	default:
		c.leaveToWaits(now, FinWait2, wait)
	}
}

// finTime is how long FIN-WAIT-2 lasts, at least 3.5 RTO (tcp_fin_time).
func (c *Conn) finTime() int64 {
	t := c.opt.Linger2
	if t <= 0 {
		t = int64(c.h.Params.FinTimeout)
	}
	return max(t, c.rto()*7/2)
}

// enterTimeWait: "start the time-wait timer, turn off the other timers". The connection itself is done: a small record
// answers for it.
func (c *Conn) enterTimeWait(now int64) { c.leaveToWaits(now, TimeWait, timeWaitLen) }

func (c *Conn) leaveToWaits(now int64, state State, wait int64) {
	if c.ack.pending&ackScheduled != 0 {
		c.set(flagLastACK)
		c.lastSeq = c.snd.nxt
		c.selectWindow() // that of the last ACK, so that the record's is not smaller
	}
	c.h.Waits.add(now, c, state, wait)
	c.done(now)
}

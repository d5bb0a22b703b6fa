package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// Keep-alives, RFC 9293 §3.8.4: "Keep-alive packets MUST only be sent when no sent data is outstanding, and no data or
// acknowledgment packets have been received for the connection within an interval" (MUST-26), off by default (MUST-25),
// after two hours by default (MUST-28).

func (c *Conn) keepIdle() int64 {
	if c.opt.KeepIdle > 0 {
		return c.opt.KeepIdle
	}
	return int64(c.h.Params.KeepIdle)
}

func (c *Conn) keepIntvl() int64 {
	if c.opt.KeepIntvl > 0 {
		return c.opt.KeepIntvl
	}
	return int64(c.h.Params.KeepIntvl)
}

func (c *Conn) keepProbes() int {
	if c.opt.KeepCnt > 0 {
		return c.opt.KeepCnt
	}
	return c.h.Params.KeepProbes
}

// armKeepalive starts or stops the timer after a change of options or state.
func (c *Conn) armKeepalive(now int64) {
	if c.is(flagOrphan) {
		return // the timer is FIN-WAIT-2's
	}
	c.keepAt = 0
	if c.opt.KeepAlive && !c.state.in(Closed, SynSent) {
		c.keepAt = now + c.keepIdle()
	}
}

// rearmKeepalive takes a new TCP_KEEPIDLE: what has passed of it counts.
func (c *Conn) rearmKeepalive(now int64) {
	if c.keepAt != 0 && !c.is(flagOrphan) {
		c.keepAt = max(c.lastHeard()+c.keepIdle(), now)
	}
}

// lastHeard is when the peer was last heard of.
func (c *Conn) lastHeard() int64 { return max(c.lastRecv, c.ack.lastData) }

// keepTimer is tcp_keepalive_timer: also the end of an orphan's FIN-WAIT-2.
func (c *Conn) keepTimer(now int64, out Out) {
	c.keepAt = 0
	if c.is(flagOrphan) {
		if c.state == FinWait2 {
			c.endFinWait2(now)
		}
		return
	}
	if !c.opt.KeepAlive || c.state.in(Closed, SynSent) {
		return
	}
	if c.snd.queued() > 0 { // the retransmission timer watches over it
		c.keepAt = now + c.keepIdle()
		return
	}
	idle := now - c.lastHeard()
	if idle < c.keepIdle() {
		c.keepAt = now + c.keepIdle() - idle
		return
	}
	if c.keepDead(idle) {
		c.sendReset(now)
		c.timedOut(now)
		return
	}
	c.keepAt = now + c.keepIntvl()
	if c.sendKeepalive(now, out) {
		c.probesOut++
	} else {
		c.keepAt = now + 500*millisecond // no room: try harder
	}
}

// keepDead says whether the peer is to be given up: TCP_USER_TIMEOUT takes the place of the number of probes.
func (c *Conn) keepDead(idle int64) bool {
	if c.opt.UserTimeout > 0 {
		return idle >= c.opt.UserTimeout && c.probesOut > 0
	}
	return int(c.probesOut) >= c.keepProbes()
}

// sendKeepalive: "Such a segment generally contains SEG.SEQ = SND.NXT-1 and may or may not contain one garbage octet of
// data." RFC 1122 §4.2.3.6. Ours has none, as Linux'.
func (c *Conn) sendKeepalive(now int64, out Out) bool {
	h := c.h.header()
	c.fill(now, h, wire.ACK)
	h.Seq = c.snd.una - 1
	if !c.emit(now, h, nil, 0, 0, out) {
		return false
	}
	c.h.MIB.TCPKeepAlive++
	return true
}

// endFinWait2 ends the part of FIN-WAIT-2 that needed the connection.
func (c *Conn) endFinWait2(now int64) {
	if c.opt.Linger2 >= 0 {
		if rest := c.finTime() - timeWaitLen; rest > 0 {
			c.leaveToWaits(now, FinWait2, rest)
			return
		}
	}
	c.sendReset(now)
	c.done(now)
}

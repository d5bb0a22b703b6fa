package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// fastQueue bounds the connections of a listener that a SYN alone opened: "PendingFastOpenRequests: tracks the number of
// TFO connections in SYN-RCVD state. If this variable goes over a preset system limit, the server MUST disable TFO
// for all new connection requests until PendingFastOpenRequests drops below the system limit." RFC 7413 §4.2
type fastQueue struct {
	n   int     // whose handshake is not over, and the places in rst
	rst []int64 // until when the place of one that the peer reset stays taken
}

// fastReset is how long: "a simple defense" of Linux, since the peer that the SYN claimed to be from knew nothing of it.
const fastReset = 60 * second

// room says whether one more may be opened by a SYN alone.
func (q *fastQueue) room(now int64, limit int) bool {
	if q.n < limit {
		return true
	}
	if len(q.rst) == 0 || q.rst[0] > now {
		return false
	}
	q.rst = q.rst[1:]
	q.n--
	return true
}

// leave gives a place back, at once or, after a reset, later.
func (q *fastQueue) leave(now int64, late bool) {
	if late {
		q.rst = append(q.rst, now+fastReset)
		return
	}
	q.n--
}

// fastLimit is TCP_FASTOPEN, or the backlog where the host lets each listener have it.
func (l *Listener) fastLimit() int {
	if n := l.opt.FastOpen; n != 0 || l.h.Params.FastOpen&fastEachListener == 0 {
		return n
	}
	return l.backlog
}

func (l *Listener) fastKeys() *FastOpenKeys {
	if l.opt.FastKeys != nil {
		return l.opt.FastKeys
	}
	return l.h.fastKeys()
}

// fastOpen decides about a SYN, as tcp_try_fastopen: whether it opens a connection, and the cookie that the SYN-ACK
// carries. "If FastOpenEnabled is false, go to step 5. If PendingFastOpenRequests is over the system limit, go to step 5.
// If IsCookieValid() [...] returns false, go to step 5. Buffer the data and notify the application. [...] 5. Send the SYN-ACK
// packet. The packet MAY include a Fast Open option." RFC 7413 §4.2.2
func (l *Listener) fastOpen(now int64, s *Segment, r *halfOpen) (bool, fastCookie) {
	c := cookieOf(&s.Opts)
	mib, bits := &l.h.MIB, l.h.Params.FastOpen
	if c.n == 0 {
		mib.TCPFastOpenCookieReqd++
	}
	if bits&fastServer == 0 || s.Size() == 0 && c.n < 0 || l.fastLimit() == 0 {
		return false, noCookie
	}
	if !l.fast.room(now, l.fastLimit()) {
		mib.TCPFastOpenListenOverflow++
		return false, noCookie
	}
	switch {
	case bits&fastServerBold != 0 || l.opt.FastNoCookie:
		return true, noCookie
	case c.n == 0:
		return false, l.freshCookie(r, &c)
	case c.n < 0:
		return false, noCookie
	}
	switch l.fastKeys().matches(&r.flow, &c) {
	case 0:
		mib.TCPFastOpenPassiveFail++
		return false, l.freshCookie(r, &c)
	case 1:
		return true, noCookie
	}
	mib.TCPFastOpenPassiveAltKey++ // made with the old key: good still, and replaced
	return true, l.freshCookie(r, &c)
}

func (l *Listener) freshCookie(r *halfOpen, asked *fastCookie) fastCookie {
	c := l.fastKeys().Key[0].fastCookie(&r.flow)
	c.exp = asked.exp
	return c
}

// open makes a connection of a SYN: "If the cookie is valid, the server sends a SYN-ACK acknowledging both the SYN and the
// data. The server then delivers the data to the application. [...] If the server accepts the data in the SYN packet, it
// may send the response data before the handshake finishes." RFC 7413 §3
func (l *Listener) open(now int64, r *halfOpen, s *Segment, cookie fastCookie) *Conn {
	c := l.child(now, r, s)
	c.lastRecv = now
	c.startWindow(now)
	c.armKeepalive(now)
	c.snd.setPeerWindow(s.Seq, uint32(s.Wnd))
	c.snd.openSYNACK(now)
	x := c.rarely()
	x.listener, x.synackAt, x.cookie = l, now, cookie
	c.set(flagSYNACK)
	c.segsIn = 1
	c.takeSYNData(s)
	l.fast.n++
	l.h.MIB.TCPFastOpenPassive++
	l.h.MIB.PassiveOpens++
	l.done.push(c)
	if l.Owner != nil {
		l.Owner.TCPEvent(true, false)
	}
	return c
}

// takeSYNData queues what came with a SYN or SYN-ACK, whose number RCV.NXT is past.
func (c *Conn) takeSYNData(s *Segment) {
	if s.Size() == 0 || !c.enqueueFrom(s, 0) {
		return
	}
	c.dataIn++
	c.advance(s.Size())
	c.rcvWup = c.rcvNxt
	c.set(flagSYNData)
}

// checkHalfFast is what tcp_check_req looks at before a segment reaches a connection whose SYN-ACK is not acknowledged.
func (c *Conn) checkHalfFast(now int64, s *Segment, out Out) bool {
	ctl := s.Flags & (wire.RST | wire.SYN | wire.ACK)
	old := c.is(flagTS) && s.Opts.Has(wire.HasTimestamp) && int32(c.paws.recent-s.Opts.TSVal) > 0
	if s.Seq == c.irs && ctl == wire.SYN && !old { // our SYN-ACK got lost
		if c.mayAnswer(now, s, &c.h.MIB.TCPACKSkippedSynRecv) {
			c.set(flagSYNACK)
		}
		return false
	}
	if old || !inWindow(s, c.rcvNxt, c.rcvWnd) {
		if !ctl.Any(wire.RST) && c.mayAnswer(now, s, &c.h.MIB.TCPACKSkippedSynRecv) {
			c.ack.pending |= ackScheduled | ackNow
		}
		return false
	}
	if s.Seq == c.irs {
		ctl &^= wire.SYN
	}
	switch {
	case ctl.Any(wire.RST):
		c.leaveFast(now, c.rare.accepted)
		c.h.MIB.EmbryonicRsts++
		c.peerReset(now)
		return false
	case ctl.Any(wire.SYN): // not a reason to end a connection that data came for
		c.h.MIB.EmbryonicRsts++
		Reset(c.h, &c.Flow, s, out)
		return false
	}
	return ctl.Any(wire.ACK)
}

// leaveFast ends the connection's time among the listener's pending ones.
func (c *Conn) leaveFast(now int64, reset bool) {
	if c.halfFast() {
		c.rare.listener.fast.leave(now, reset)
		c.rare.listener = nil
	}
}

// fastAcked ends the handshake of a connection that the SYN alone opened: the timer is data's from now on.
func (c *Conn) fastAcked(now int64) {
	if !c.halfFast() {
		return
	}
	sent := c.rare.synackAt
	c.leaveFast(now, false)
	c.snd.synackAcked(now, sent)
}

// openSYNACK starts the timer of a SYN-ACK that is not in the queue: what the program writes meanwhile is sent, but not
// repeated before the SYN-ACK is acknowledged.
func (s *sender) openSYNACK(now int64) {
	s.synackOut, s.rate.delivered = true, 0
	s.tmr.set(timerSYNACK, now+synackTimeout)
}

// onSYNACKTimer is the SYN-ACK's timeout, as tcp_fastopen_synack_timer. "If the SYN-ACK timer fires, the server SHOULD
// retransmit a SYN-ACK segment with neither data nor Fast Open options" RFC 7413 §4.2.2
func (s *sender) onSYNACKTimer(now int64) error {
	n := int(s.synTries)
	if n == 0 {
		n = s.p.SYNACKRetries + 1
	}
	if int(s.tmr.retries) >= n {
		s.tmr.stop()
		s.mem.Stats.AbortOnTimeout++
		return ErrTimeout
	}
	if s.tmr.retries == 1 && s.sb.out > 0 {
		s.enterLoss(now)
	} else if s.tmr.retries == 1 {
		s.cwnd = 1
	}
	s.countTimeout(now)
	if s.tmr.retries == 0 {
		s.tmr.since = now
	}
	s.tmr.retries++
	s.mem.Stats.RetransSegs++
	s.tmr.set(timerSYNACK, now+min(int64(synackTimeout)<<min(s.tmr.retries, 20), s.rtoMax()))
	return nil
}

// synackAcked gives the timer to the data that left meanwhile. "Karn's algorithm": only a SYN-ACK sent once is measured.
func (s *sender) synackAcked(now, sent int64) {
	if s.tmr.retries == 0 && s.rtt.srtt == 0 {
		s.rtt.sample(s.p, max(now-sent, 1e3), s.una, s.nxt)
	}
	s.recovered(now)
	s.synackOut, s.tmr.retries = false, 0
	s.tmr.stop()
	s.rate.delivered++
	s.rearmRTO(now)
}

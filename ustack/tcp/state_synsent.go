package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// rcvSynSent is RFC 9293 §3.10.7.3, SYN-SENT STATE.
func (c *Conn) rcvSynSent(now int64, s *Segment, out Out) {
	acked := s.Flags.Any(wire.ACK)
	if acked {
		// "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set, if so drop the segment and
		// return) <SEQ=SEG.ACK><CTL=RST> and discard the segment."
		if s.Ack.LEQ(c.snd.una) || s.Ack.GT(c.snd.nxt) || !c.echoOK(now, s) {
			if (s.Ack.LEQ(c.snd.una) || s.Ack.GT(c.snd.nxt)) && c.snd.tmr.retries == 0 {
				// The peer has a connection of old times: our SYN goes again as soon as the reset has ended that, as in Linux.
				c.snd.tmr.set(timerRTO, now+2*millisecond)
			}
			Reset(c.h, &c.Flow, s, out)
			return
		}
	}
	if s.Flags.Any(wire.RST) {
		// "If the ACK was acceptable, then signal to the user "error: connection reset", drop the segment, enter CLOSED
		// state [...]. Otherwise (no ACK), drop the segment and return."
		if acked {
			c.fail(now, ErrRefused)
		}
		return
	}
	if !s.Flags.Any(wire.SYN) {
		return // "Fifth, if neither of the SYN or RST bits is set, then drop the segment and return."
	}
	c.takeSYN(now, s)
	if !acked {
		c.crossSYN(now, s)
		return
	}
	if c.is(flagECN) && !(s.Flags.Any(wire.ECE) && !s.Flags.Any(wire.CWR)) {
		c.clear(flagECN)
	}
	mss := c.toldMSS(s)
	c.agree(now)
	c.snd.setPeerWindow(s.Seq, uint32(s.Wnd))
	c.giveACK(now, s)
	c.establish(now)
	c.fastSYNACK(now, s, cookieOf(&s.Opts), mss)
	// "form an ACK segment <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> and send it. Data or controls that were queued for
	// transmission MAY be included": a blocking write has the data ready that carries it (sk_write_pending), and with
	// TCP_DEFER_ACCEPT the program's first write does, as in the kernel.
	switch {
	case c.opt.DeferAccept > 0 || c.rare != nil && c.rare.pending:
		c.ack.pending = ackScheduled | ackHeld
		c.quickMode(maxQuick)
		c.ack.at = now + delackMax
	case c.ack.pending == 0 && c.awaitRequest(now):
	default:
		c.ack.pending |= ackScheduled | ackNow
	}
	c.wake(true, true)
}

// echoOK says whether the SYN-ACK's echo is one of our timestamps; another one belongs to an older connection.
func (c *Conn) echoOK(now int64, s *Segment) bool {
	if !c.is(flagTS) || !s.Opts.Has(wire.HasTimestamp) || s.Opts.TSEcr == 0 {
		return true
	}
	age := int32(c.tsNow(now) - s.Opts.TSEcr)
	if age >= 0 && int64(age) <= (now-c.lastRecv)/millisecond+1 {
		return true
	}
	c.h.MIB.PAWSActive++
	return false
}

// toldMSS is the peer's MSS option: "If an MSS Option is not received at connection setup, TCP implementations MUST assume a default send MSS of
// 536 (576 - 40) for IPv4 or 1220 (1280 - 60) for IPv6" RFC 9293 §3.7.1 (MUST-15).
func (c *Conn) toldMSS(s *Segment) uint16 {
	if s.Opts.Has(wire.HasMSS) && s.Opts.MSS > 0 {
		return s.Opts.MSS
	}
	return defaultMSS(&c.Flow)
}

// takeSYN takes what a SYN tells: "RCV.NXT is set to SEG.SEQ+1, IRS is set to SEG.SEQ", and options that both ends want.
func (c *Conn) takeSYN(now int64, s *Segment) {
	c.irs = s.Seq
	c.rcvNxt = s.Seq.Add(1)
	c.rcvWup, c.copied = c.rcvNxt, c.rcvNxt
	o := &s.Opts
	c.peerMSS = c.opt.bound(c.toldMSS(s))
	if !o.Has(wire.HasSACKPerm) {
		c.clear(flagSACK)
	}
	if c.is(flagWScale) && o.Has(wire.HasWScale) {
		c.sndScale = min(o.WScale, 14) // "MUST use 14 instead of the specified value" RFC 7323 §2.3
	} else {
		c.clear(flagWScale)
		c.sndScale, c.rcvScale = 0, 0
		c.win.clamp = min(c.win.clamp, 65535)
		c.rcvWnd = min(c.rcvWnd, 65535)
		c.win.ssthresh = min(c.win.ssthresh, 65535)
	}
	if !o.Has(wire.HasTimestamp) {
		c.clear(flagTS)
	} else if c.is(flagTS) {
		c.paws = pawsState{o.TSVal, now}
	}
}

// defaultMSS: "If an MSS Option is not received at connection setup, TCP implementations MUST assume a default send MSS
// of 536 (576 - 40) for IPv4 or 1220 (1280 - 60) for IPv6" RFC 9293 §3.7.1, MUST-15. The kernel takes 536 for both.
func defaultMSS(*Flow) uint16 { return 536 }

// crossSYN is a simultaneous open: "Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment
// <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK> and send it."
func (c *Conn) crossSYN(now int64, s *Segment) {
	if !s.Flags.Has(wire.ECE | wire.CWR) {
		c.clear(flagECN)
	}
	c.state = SynReceived
	c.agree(now)
	c.snd.setPeerWindow(s.Seq, uint32(s.Wnd))
	c.set(flagSYNACK)
}

// agree makes what both ends want hold for both halves.
func (c *Conn) agree(now int64) {
	c.snd.tsOK, c.snd.sackOK, c.snd.ecn.ok = c.is(flagTS), c.is(flagSACK), c.is(flagECN)
	if c.is(flagTS) {
		c.advMSS -= 12
	}
	c.syncMSS(now)
	c.initRcvMSS()
}

// establish is the way into ESTABLISHED from wherever.
func (c *Conn) establish(now int64) {
	c.state = Established
	c.lastRecv = now
	c.startWindow(now)
	c.armKeepalive(now)
}

package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// DialFast is Dial with data for the SYN: sendto(2) with MSG_FASTOPEN among its flags. It returns how many bytes of iov the SYN takes: 0
// without a cookie, which the SYN asks for then. ErrNotSupp when tcp_fastopen forbids it.
func DialFast(now int64, h *Host, f Flow, p Path, o *Options, iov [][]byte, flags int) (*Conn, int, error) {
	if h.Params.FastOpen&fastClient == 0 {
		return nil, 0, ErrNotSupp
	}
	c := newDial(now, h, f, p, o)
	return c, c.openFast(now, iov, flags), nil
}

// maySendSYNData looks whether data may go with the SYN, and fills in the option: "To open a TFO connection, the client
// MUST have obtained a cookie from the server"; "the client sends a SYN packet with a Fast Open option [of an] empty cookie
// field" to get one. RFC 7413 §4.2.2, §4.2.1
func (c *Conn) maySendSYNData(x *rare) (mss int, ok bool) {
	e := c.h.fastOpen.find(fastPair{c.Flow.Local.Addr(), c.Flow.Remote.Addr()})
	mss = int(c.advMSS)
	x.cookie = fastCookie{}
	if e != nil {
		x.cookie = e.cookie
		if e.mss > 0 {
			mss = int(e.mss)
		}
	}
	if c.h.Params.FastOpen&fastClientBold != 0 || c.opt.FastNoCookie {
		x.cookie = noCookie
		return mss, true
	}
	if x.cookie.n > 0 {
		return mss, true
	}
	x.failed = fastNoCookie
	return 0, false
}

// deferSYN is connect(2) with TCP_FASTOPEN_CONNECT: with a cookie at hand nothing is sent before the program writes.
func (c *Conn) deferSYN(now int64) {
	x := c.rarely()
	if _, x.deferred = c.maySendSYNData(x); !x.deferred {
		x.asked = true
		c.snd.queueSYN(now)
	}
}

// openFast queues the SYN with as much of iov as it takes: "Include any data up to the cached server MSS or default 536
// bytes." RFC 7413 §4.2.2. Without a cached MSS Linux takes that of our own link; and it leaves the whole option space free.
func (c *Conn) openFast(now int64, iov [][]byte, flags int) int {
	x := c.rarely()
	mss, ok := c.maySendSYNData(x)
	x.deferred, x.asked = false, x.cookie.n >= 0
	if ok {
		c.peerMSS = c.opt.bound(uint16(max(mss, 88)))
		c.syncMSS(now)
	}
	c.snd.queueSYN(now)
	if !ok {
		x.pending = flags&MsgWaits != 0 && len(iov) > 0
		return 0
	}
	limit := min(mss, int(c.mtu)-c.Flow.iplen()-20)
	if c.opt.MaxSeg > 0 {
		limit = min(limit, c.opt.MaxSeg)
	}
	limit -= 40
	n := c.snd.queueSYNData(now, iov, limit)
	x.pending = flags&MsgWaits != 0 && n < iovLen(iov)
	if n > 0 && c.opt.noted() {
		c.noteWrite(flags, n == iovLen(iov))
	}
	return n
}

// queueSYNData puts at most limit bytes behind the SYN, to leave with it.
func (s *sender) queueSYNData(now int64, iov [][]byte, limit int) int {
	done := 0
	limit = min(limit, s.segGoal())
	for _, b := range iov {
		if n := min(len(b), limit-done); n > 0 {
			done += s.write(now, b[:n], writeMore)
		}
	}
	if done > 0 {
		s.q.tail.flags |= recPSH
		s.pushed, s.nagle.more = s.end, false
		s.synData = true
	}
	return done
}

// synDataOut is how much data of the SYN is not acknowledged.
func (s *sender) synDataOut() bool { return s.q.head != nil && s.q.head.has(recSent) }

// fastSYNACK takes what a SYN-ACK tells about Fast Open, as tcp_rcv_fastopen_synack: "If the SYN-ACK has a Fast Open
// option, an MSS option, or both, update the corresponding cookie and MSS information in the cookie cache. [...] The client
// SHOULD retransmit any unacknowledged data in the first ACK packet" RFC 7413 §4.2.2.
func (c *Conn) fastSYNACK(now int64, s *Segment, cookie fastCookie, mss uint16) {
	x := c.rare
	if x == nil || !x.asked && !c.snd.synData {
		return
	}
	pair := fastPair{c.Flow.Local.Addr(), c.Flow.Remote.Addr()}
	if !x.asked {
		cookie = noCookie // nobody asked
	}
	tryExp := uint8(0)
	if x.asked && c.snd.sb.total == 0 && cookie.n < 0 && !c.snd.synData {
		if tryExp = 1; x.cookie.exp {
			tryExp = 2
		}
	}
	c.h.fastOpen.set(pair, mss, cookie, tryExp)
	if c.snd.synDataOut() {
		if x.failed = fastNotAcked; c.snd.sb.total > 0 {
			x.failed = fastRepeated
		}
		c.h.MIB.TCPFastOpenActiveFail++
		c.snd.resendSYNData()
		return
	}
	if c.snd.synData {
		c.set(flagSYNData)
		c.h.MIB.TCPFastOpenActive++
		c.snd.rate.delivered-- // SYN and data were one packet
	}
	c.takeSYNData(s)
	if s.Flags.Any(wire.FIN) && c.rcvNxt == s.end().Add(-1) {
		c.rcvFIN(now)
	}
}

// resendSYNData repeats what the peer did not take of the SYN's data: no sign of congestion.
func (s *sender) resendSYNData() {
	for r := s.q.head; r != nil && r.has(recSent); r = r.next {
		s.markLost(r)
	}
	s.notCongestion()
}

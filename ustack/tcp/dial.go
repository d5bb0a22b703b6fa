package tcp

// Dial makes a connection in SYN-SENT; Output sends its SYN. "An initial send sequence number (ISS) is selected. A SYN
// segment of the form <SEQ=ISS><CTL=SYN> is sent. Set SND.UNA to ISS, SND.NXT to ISS+1, enter SYN-SENT state, and
// return." RFC 9293 §3.10.1. o may be nil.
func Dial(now int64, h *Host, f Flow, p Path, o *Options) *Conn {
	c := newDial(now, h, f, p, o)
	if c.opt.FastConnect && h.Params.FastOpen&fastClient != 0 {
		c.deferSYN(now)
	} else {
		c.snd.queueSYN(now)
	}
	return c
}

// newDial makes a connection in SYN-SENT whose SYN is still to be queued.
func newDial(now int64, h *Host, f Flow, p Path, o *Options) *Conn {
	c := newConn(h, f, p, o)
	c.state = SynSent
	prm := h.Params
	c.setWants(prm.Timestamps, prm.SACK, prm.WindowScaling, prm.ECN == 1)
	c.initWindow()
	iss := h.isn(now, &f)
	if n, ok := h.Waits.reuse(now, &f); ok {
		iss = n
	}
	c.start(now, iss, h.tsOffset(&f))
	c.snd.active = true
	h.MIB.ActiveOpens++
	return c
}

// newConn makes a connection that knows its path and options.
func newConn(h *Host, f Flow, p Path, o *Options) *Conn {
	if o == nil {
		o = &defaultOptions
	}
	c := h.newConn()
	c.Flow, c.h, c.opt, c.peerMSS = f, h, o, o.bound(65535)
	c.setMTU(p.MTU)
	c.advMSS = c.mssToTell()
	return c
}

// setWants notes what we ask the peer for.
func (c *Conn) setWants(ts, sack, scale, ecn bool) {
	for _, w := range [...]struct {
		on bool
		f  connFlags
	}{{ts, flagTS}, {sack, flagSACK}, {scale, flagWScale}, {ecn, flagECN}} {
		if w.on {
			c.set(w.f)
		}
	}
}

// start makes the sender ready and gives it the options.
func (c *Conn) start(now int64, iss Seq, tsOff uint32) {
	c.lastRecv = now
	c.snd.init(now, c.h.Params, c.h.send, iss, c.mss())
	c.snd.tsOff = tsOff
	c.sndUp = iss
	c.applyOptions(now)
}

// mssToTell is our MSS option: "The MSS value to be sent in an MSS Option should be equal to the effective MTU minus the fixed
// IP and TCP headers." RFC 9293 §3.7.1, or TCP_MAXSEG.
func (c *Conn) mssToTell() uint16 {
	n := int(c.mtu) - c.Flow.iplen() - 20
	if c.opt.MaxSeg > 0 {
		n = min(n, c.opt.MaxSeg)
	}
	return uint16(max(n, 88))
}

// mss is "Eff.snd.MSS = min(SendMSS+20, MMS_S) - TCPhdrsize - IPoptionsize" RFC 9293 §3.7.1: what a segment carries
// besides the options it always has.
func (c *Conn) mss() int {
	n := min(int(c.peerMSS), int(c.mtu)-c.Flow.iplen()-20)
	if c.is(flagTS) {
		n -= 12
	}
	return min(max(n, 28), maxPayload)
}

// bound is the peer's MSS as TCP_MAXSEG lets it count. Linux parses the option with it ("if (opt_rx->user_mss && opt_rx->user_mss < in_mss) in_mss =
// opt_rx->user_mss"): what is set once the connection stands changes nothing.
func (o *Options) bound(mss uint16) uint16 {
	if o.MaxSeg > 0 {
		return uint16(min(int(mss), o.MaxSeg))
	}
	return mss
}

// syncMSS tells the sender about a change of path or options.
func (c *Conn) syncMSS(now int64) {
	if n := c.mss(); n != int(c.snd.pmtu.limit) {
		c.snd.setMSS(now, n)
	}
}

// rto is the retransmission timeout without backoff, ns; srtt is the smoothed round-trip time, 0 when unknown.
func (c *Conn) rto() int64  { return c.snd.rtt.rto }
func (c *Conn) srtt() int64 { return c.snd.rtt.srtt }

package tcp

import (
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// Output sends what is due: data, ACKs, a window update, a reset. It is cheap when nothing is.
func (c *Conn) Output(now int64, out Out) {
	c.growMTU(now)
	switch {
	case c.is(flagFrozen):
		return
	case c.state == Closed:
		c.lastWords(now, out)
		return
	case c.is(flagSYNACK) && !c.sendSYNACK(now, out):
		return
	}
	if !c.snd.idle() && !c.sendDue(now, out) {
		return
	}
	if c.ackDue(now) {
		c.sendACK(now, out)
	}
}

// sendDue sends what the sender chooses; false: there was no room for all of it.
func (c *Conn) sendDue(now int64, out Out) bool {
	c.snd.train = train{}
	for t, ok := c.snd.next(now); ok; t, ok = c.snd.next(now) {
		if !c.sendSegment(now, &t, out) {
			c.snd.refused(now, &t)
			return false
		}
		c.snd.sent(now, &t)
		if c.rare != nil {
			c.sentNotes(now, &t)
		}
	}
	return true
}

// sendSegment sends what the sender chose.
func (c *Conn) sendSegment(now int64, t *txSeg, out Out) bool {
	h := c.h.header()
	switch {
	case t.syn && c.state == SynSent:
		c.fillSYN(now, h, wire.SYN)
		if t.rexmit && c.h.Params.ECNFallback {
			// "A host that receives no reply to an ECN-setup SYN within the normal SYN retransmission timeout interval MAY
			// resend the SYN and any subsequent SYN retransmissions with CWR and ECE cleared." RFC 3168 §6.1.1.1
			h.Flags &^= wire.ECE | wire.CWR
		}
		if c.rare != nil && !t.rexmit { // "when the SYN timer fires, the client SHOULD retransmit a SYN packet without data and Fast Open options" RFC 7413 §4.2.2
			c.rare.cookie.put(&h.Opts)
		}
	case t.syn:
		c.fillSYN(now, h, wire.SYN|wire.ACK)
	default:
		c.fill(now, h, wire.ACK)
		c.roomForSACK(h, t.n)
	}
	h.Seq = t.seq
	h.ECT = t.ect && c.is(flagECN)
	if t.fin {
		h.Flags |= wire.FIN
	}
	if t.psh {
		h.Flags |= wire.PSH
	}
	if t.cwr && c.is(flagECN) {
		h.Flags |= wire.CWR
	}
	if urg, ok := c.urgentField(t.seq); ok {
		h.Flags |= wire.URG
		h.Urg = urg
	}
	if !c.emit(now, h, t.buf, t.off, t.n, out) {
		return false
	}
	if t.n > 0 {
		c.dataOut++
		c.dataSent(now)
	}
	return true
}

// roomForSACK drops the blocks that would make the segment larger than path, peer, or what probing knows to pass allow: those
// go on a pure ACK. What options take, the data must leave (RFC 9293 §3.7.1).
func (c *Conn) roomForSACK(h *Header, n int) {
	if h.Opts.NSACK == 0 {
		return
	}
	room := c.snd.mss - n
	if c.is(flagTS) {
		room += 12
	}
	for h.Opts.NSACK > 0 && h.Opts.Len() > room {
		h.Opts.NSACK--
	}
}

// sendACK sends a segment without data.
func (c *Conn) sendACK(now int64, out Out) bool {
	h := c.h.header()
	c.fill(now, h, wire.ACK)
	h.Seq = c.acceptableSeq()
	return c.emit(now, h, nil, 0, 0, out)
}

// acceptableSeq is the number for a segment without data: SND.NXT, but inside of a window that the peer took back, so
// that the peer accepts it (tcp_acceptable_seq).
func (c *Conn) acceptableSeq() Seq {
	if end := c.snd.wndEnd(); end.LT(c.snd.nxt) {
		return maxSeq(end, c.snd.una)
	}
	return c.snd.nxt
}

// fill makes the header of any segment behind the handshake.
func (c *Conn) fill(now int64, h *Header, f wire.Flags) {
	h.Flags, h.Seq, h.Ack = f, c.snd.nxt, c.rcvNxt
	h.Wnd = c.selectWindow()
	if c.is(flagDemand) {
		h.Flags |= wire.ECE
	}
	room := wire.MaxSACK
	if c.is(flagTS) {
		h.Opts.Set |= wire.HasTimestamp
		h.Opts.TSVal, h.Opts.TSEcr = c.tsNow(now), c.paws.recent
		room--
	}
	if c.is(flagSACK) && (c.ooo != nil || c.dsack.due) {
		c.sackBlocks(&h.Opts, room)
	}
}

// fillSYN makes the header of a SYN or SYN-ACK. "TCP implementations SHOULD send an MSS Option in every SYN segment when its
// receive MSS differs from the default [...], and MAY send it always" RFC 9293 §3.7.1.
func (c *Conn) fillSYN(now int64, h *Header, f wire.Flags) {
	h.Flags, h.Seq = f, c.snd.iss
	h.Wnd = uint16(min(c.rcvWnd, 65535))
	o := &h.Opts
	o.Set |= wire.HasMSS
	o.MSS = c.mssToTell()
	if f.Any(wire.ACK) {
		h.Ack = c.rcvNxt
	}
	if c.is(flagTS) {
		o.Set |= wire.HasTimestamp
		o.TSVal, o.TSEcr = c.tsNow(now), c.paws.recent
	}
	if c.is(flagSACK) {
		o.Set |= wire.HasSACKPerm
	}
	if c.is(flagWScale) {
		o.Set |= wire.HasWScale
		o.WScale = c.rcvScale
	}
	if c.is(flagECN) {
		// "a SYN packet with the ECE and CWR flags set" is an ECN-setup SYN packet; the answer has ECE alone. RFC 3168
		// §6.1.1
		h.Flags |= wire.ECE
		if !f.Any(wire.ACK) {
			h.Flags |= wire.CWR
		}
	}
}

// sendSYNACK answers a SYN that crossed ours. The sender repeats it when it gets lost.
func (c *Conn) sendSYNACK(now int64, out Out) bool {
	h := c.h.header()
	c.fillSYN(now, h, wire.SYN|wire.ACK)
	if c.halfFast() && c.snd.tmr.retries == 0 {
		c.rare.cookie.put(&h.Opts)
	}
	if !c.emit(now, h, nil, 0, 0, out) {
		return false
	}
	c.clear(flagSYNACK)
	return true
}

// lastWords sends what a connection that is gone still owes.
func (c *Conn) lastWords(now int64, out Out) {
	c.lastWord(now, flagLastACK, wire.ACK, out)
	c.lastWord(now, flagRST, wire.RST|wire.ACK, out)
}

func (c *Conn) lastWord(now int64, owed connFlags, bits wire.Flags, out Out) {
	if !c.is(owed) {
		return
	}
	h := c.h.header()
	h.Flags, h.Seq, h.Ack = bits, c.lastSeq, c.rcvNxt
	h.Wnd = uint16(min(int(c.rcvWnd)>>c.rcvScale, 65535))
	if c.is(flagTS) {
		h.Opts.Set = wire.HasTimestamp
		h.Opts.TSVal, h.Opts.TSEcr = c.tsNow(now), c.paws.recent
	}
	c.clear(owed) // with no room it is lost, as packets are
	c.segsOut++
	out.Segment(c, h, nil, 0, 0)
}

// emit hands a segment over.
func (c *Conn) emit(now int64, h *Header, b *pbuf.Buf, off, n int, out Out) bool {
	if !out.Segment(c, h, b, off, n) {
		return false
	}
	c.segsOut++
	if h.Flags.Any(wire.ACK) {
		c.acked()
	}
	return true
}

package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// Input takes a segment of this connection. Output must follow, of one or of a batch of segments: then one ACK may
// answer several that came in order.
func (c *Conn) Input(now int64, s *Segment, out Out) {
	if c.is(flagFrozen) {
		return // the peer sends it again
	}
	c.segsIn++
	if s.Size() > 0 {
		c.dataIn++
		if s.Size() > int(c.advMSS) && c.advMSS > 0 {
			c.countJoined(s)
		}
	}
	c.Ifindex, c.Queue = int32(s.Ifindex), int32(s.Queue)
	if c.mayReduce(s) {
		c.Output(now, out)
	}
	switch c.state {
	case Closed:
		Reset(c.h, &c.Flow, s, out)
	case SynSent:
		c.rcvSynSent(now, s, out)
	default:
		c.rcvArrived(now, s, out)
	}
	if c.ack.pending&ackNow != 0 && c.state != Closed {
		c.Output(now, out) // a duplicate ACK is a message of its own: one for each segment
	}
}

// countJoined counts what came as one packet and was sent, or would have been, as several segments, as the kernel does (gso_segs): as many as that much takes
// if each is as long as we allow. A peer whose path has a smaller MTU sends more.
func (c *Conn) countJoined(s *Segment) {
	mss := int(c.advMSS)
	more := uint32((s.Size()+mss-1)/mss - 1)
	c.segsIn += more
	c.dataIn += more
	c.h.MIB.InSegs += uint64(more)
}

// mayReduce says whether the segment may begin a reduction of cwnd. What the ACKs before it in the batch allow has to leave
// first: recovery goes on from what is in flight (RFC 6937), and that would be as little as if the program had nothing to
// send. So has a segment for each of the first two duplicates, "limited transmit" of RFC 3042.
func (c *Conn) mayReduce(s *Segment) bool {
	if c.snd.state >= caCWR || c.snd.q.unsent == nil || c.snd.q.unsent == c.snd.q.head {
		return false
	}
	return s.Opts.NSACK > 0 || s.Flags.Any(wire.ECE) || !c.is(flagSACK) && s.Ack == c.snd.una && s.len() == 0
}

// rcvArrived is "Otherwise" of RFC 9293 §3.10.7.4: the checks that all states behind SYN-SENT share, in the order of
// the RFC, with what differs by state in one function each.
func (c *Conn) rcvArrived(now int64, s *Segment, out Out) {
	if c.halfFast() && !c.checkHalfFast(now, s, out) {
		return
	}
	if !c.checkArrived(now, s) {
		return
	}
	// "fifth, check the ACK field: if the ACK bit is off, drop the segment and return".
	if !s.Flags.Any(wire.ACK) || !c.checkACK(now, s, out) {
		return
	}
	switch c.state {
	case SynReceived:
		c.ackSynReceived(now, s)
	case FinWait1:
		c.fastAcked(now)
		c.ackFinWait1(now, s, out)
	case Closing:
		c.ackClosing(now)
	case LastAck:
		c.ackLastAck(now)
	}
	if c.state == Closed {
		return
	}
	c.rcvUrgent(s) // sixth
	c.rcvText(now, s, out)
}

// checkArrived is first to fourth: sequence number, RST, security, SYN. It says whether the segment goes on.
func (c *Conn) checkArrived(now int64, s *Segment) bool {
	// "R1) If there is a Timestamps option in the arriving segment, SEG.TSval < TS.Recent, TS.Recent is valid [...], and
	// if the RST bit is not set, then treat the arriving segment as not acceptable" RFC 7323 §5.3.
	if !s.Flags.Any(wire.RST) && c.pawsReject(now, s) {
		c.h.MIB.PAWSEstab++
		if s.Flags.Any(wire.SYN) {
			c.challengeSYN(now)
		} else if c.mayAnswer(now, s, &c.h.MIB.TCPACKSkippedPAWS) {
			c.answerOld(s)
		}
		return false
	}
	switch {
	case !c.acceptable(s):
		c.rcvUnacceptable(now, s)
		return false
	case s.Flags.Any(wire.RST):
		c.rcvRST(now, s)
		return false
	case s.Flags.Any(wire.SYN) && !c.crossedSYNACK(s):
		// "in these synchronized states, if the SYN bit is set, irrespective of the sequence number, TCP endpoints MUST
		// send a "challenge ACK" to the remote peer" RFC 9293 §3.10.7.4, after RFC 5961 §4.2.
		c.challengeSYN(now)
		return false
	}
	return true
}

// crossedSYNACK says whether s is the SYN-ACK that ends a simultaneous open.
func (c *Conn) crossedSYNACK(s *Segment) bool {
	return c.state == SynReceived && s.Flags.Any(wire.ACK) && s.Seq.Add(1) == c.rcvNxt && s.len() == 1 && s.Ack == c.snd.nxt
}

// acceptable is the test of "first, check sequence number", with the kernel's latitude at the right edge (tcp_sequence):
// a segment that runs over it is taken whole while nothing is queued, and a FIN never is too much.
func (c *Conn) acceptable(s *Segment) bool {
	end, edge := s.end(), c.rcvNxt.Add(c.offered())
	if end.LT(c.rcvWup) {
		return false
	}
	if s.Flags.Any(wire.FIN) && end == edge.Add(1) { // peers that send it into a closed window would repeat it for ever
		return true
	}
	return end.LEQ(edge) || s.Seq.LEQ(edge) && c.rq.bytes == 0
}

// rcvUnacceptable answers: "If an incoming segment is not acceptable, an acknowledgment should be sent in reply (unless
// the RST bit is set, if so drop the segment and return)" RFC 9293 §3.10.7.4. At most two a second for segments without
// data, so that two ends that disagree don't answer each other for ever.
func (c *Conn) rcvUnacceptable(now int64, s *Segment) {
	switch {
	case s.Flags.Any(wire.RST):
		if c.resetAfterFIN(s) {
			c.peerReset(now)
		}
	case s.Flags.Any(wire.SYN):
		c.challengeSYN(now)
	case c.mayAnswer(now, s, &c.h.MIB.TCPACKSkippedSeq):
		c.answerOld(s)
	}
}

// answerOld acknowledges data seen before, with a DSACK, as tcp_send_dupack.
func (c *Conn) answerOld(s *Segment) {
	if s.len() > 0 && s.Seq.LT(c.rcvNxt) {
		c.h.MIB.DelayedACKLost++
		c.quickMode(maxQuick)
		c.setDSACK(s.Seq, minSeq(s.end(), c.rcvNxt))
	}
	c.ack.pending |= ackScheduled | ackNow
}

// checkACK gives the ACK to the sender. It says whether the segment goes on.
func (c *Conn) checkACK(now int64, s *Segment, out Out) bool {
	if c.state == SynReceived && (s.Ack.LT(c.snd.una) || s.Ack == c.snd.una && !c.halfFast() || s.Ack.GT(c.snd.nxt)) {
		// "If the segment acknowledgment is not acceptable, form a reset segment <SEQ=SEG.ACK><CTL=RST> and send it."
		Reset(c.h, &c.Flow, s, out)
		return false
	}
	r := c.giveACK(now, s)
	if r.err != nil {
		// "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the segment, and return";
		// the same for one that is too old, RFC 5961 §5.2.
		c.challenge(now)
		return r.err == errAckOld && c.state.in(FinWait1, Closing, LastAck) && s.len() > 0
	}
	c.lastRecv = now
	c.probesOut = 0
	if c.rare != nil {
		c.rare.soft = nil
	}
	c.bytesOut += uint64(r.acked)
	c.keepTS(now, s)
	if r.moved && c.sndUp.LT(c.snd.una) {
		c.sndUp = c.snd.una
	}
	if r.space {
		c.wake(false, true)
	}
	return true
}

func (c *Conn) giveACK(now int64, s *Segment) ackOut {
	in := ackIn{seq: s.Seq, ack: s.Ack, wnd: uint32(s.Wnd) << c.sndScale, dataLen: s.len()}
	if s.Flags.Any(wire.SYN) {
		in.wnd = uint32(s.Wnd) // "The window field in a segment where the SYN bit is set [...] MUST NOT be scaled" RFC 7323 §2.2
	}
	if c.is(flagTS) && s.Opts.Has(wire.HasTimestamp) {
		in.hasTS, in.tsecr = true, s.Opts.TSEcr
	}
	if c.is(flagSACK) && s.Opts.NSACK > 0 {
		in.sack = s.Opts.SACK[:s.Opts.NSACK]
	}
	in.ece = c.is(flagECN) && s.Flags.Any(wire.ECE) && !s.Flags.Any(wire.SYN)
	r := c.snd.onAck(now, &in)
	if r.moved && c.rare != nil {
		c.ackedNotes(now)
	}
	return r
}

// rcvText is seventh and eighth: the segment's text and FIN.
func (c *Conn) rcvText(now int64, s *Segment, out Out) {
	switch c.state {
	case Established, FinWait1, FinWait2:
	default: // "This should not occur since a FIN has been received from the remote side. Ignore the segment text."
		if s.Seq.GEQ(c.rcvNxt) || s.len() == 0 {
			return
		}
	}
	if c.shut&shutRecv != 0 && c.state != Established && s.len() > 0 && s.Seq.Add(s.Size()).GT(c.rcvNxt) {
		// "if new data is received after CLOSE is called, its TCP SHOULD send a RST to show that data was lost" RFC 1122
		// §4.2.2.13. Data behind the peer's FIN is the same to the kernel.
		c.h.MIB.TCPAbortOnData++
		Reset(c.h, &c.Flow, s, out)
		c.peerReset(now)
		return
	}
	if s.len() == 0 {
		return
	}
	c.rcvECN(s)
	c.rcvData(now, s)
	if c.ooo != nil {
		c.ackAhead(now)
	}
}

// rcvECN: "When TCP receives a CE data packet at the destination end-system, the TCP data receiver sets the ECN-Echo flag
// in the TCP header of the subsequent ACK packet [...] until it receives a CWR packet" RFC 3168 §6.1.3.
func (c *Conn) rcvECN(s *Segment) {
	if !c.is(flagECN) {
		return
	}
	if s.Flags.Any(wire.CWR) {
		c.clear(flagDemand)
		if s.Size() > 0 {
			c.ack.pending |= ackNow
		}
	}
	if s.CE && !c.is(flagDemand) {
		c.quickMode(2)
		c.set(flagDemand)
	}
}

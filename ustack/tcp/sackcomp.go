package tcp

// SACK compression, as Linux' tcp_comp_sack_*: "A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order
// segment arrives" RFC 5681 §3.2, but once the sender has seen three it has begun to repair, and one ACK with SACK blocks
// tells of a whole flight. So further ones are held for a twentieth of the round trip, at most tcp_comp_sack_delay_ns and
// at most tcp_comp_sack_nr segments: without that a fast transfer with a hole in it costs an ACK for each segment.
type sackComp struct {
	at     int64 // when the ACK must leave, 0: none is held
	held   uint8 // segments that it is for
	dups   uint8 // duplicate ACKs sent at once for this rcvNxt
	news   uint8 // how many of the runs that changed last no ACK has told of
	rcvNxt Seq
}

// dupThreshold is RFC 5681's: "the arrival of 3 duplicate ACKs".
const dupThreshold = 3

// newsFit is how many changed runs one ACK tells of: three blocks fit beside timestamps, and some are to be told twice
// since ACKs get lost, too. What fell out of the option untold would be sent again for nothing.
const newsFit = 2

// ackAhead decides about the ACK for a segment that came while there are holes: the end of __tcp_ack_snd_check.
func (c *Conn) ackAhead(now int64) {
	a, k, p := &c.ack, &c.ooo.comp, c.h.Params
	switch {
	case a.pending&(ackScheduled|ackNow) != ackScheduled:
		return
	case !c.is(flagSACK), int(k.held) >= min(p.CompSackNr, 255), c.dsack.due, a.quick > 0 && !a.pingpong, k.news >= newsFit:
		a.pending |= ackNow
		return
	case c.manyIn(): // the batch's ACK will do
		return
	case k.rcvNxt != c.rcvNxt:
		k.rcvNxt, k.dups = c.rcvNxt, 0
	}
	if k.dups < dupThreshold {
		k.dups++
		a.pending |= ackNow
		return
	}
	k.held++
	if k.at == 0 {
		k.at = now + c.compDelay()
	}
}

// compDelay is how long an ACK may be held.
func (c *Conn) compDelay() int64 {
	rtt := c.win.rtt
	if s := c.srtt(); s > 0 && (rtt == 0 || s < rtt) {
		rtt = s
	}
	return min(rtt/20, int64(c.h.Params.CompSackDelay))
}

// compTimer lets the held ACK go.
func (c *Conn) compTimer() {
	c.ooo.comp.at = 0
	c.ack.pending |= ackScheduled | ackNow
}

// ackedAhead: an ACK has left that told of everything.
func (c *Conn) ackedAhead() {
	if c.ooo == nil {
		return
	}
	k := &c.ooo.comp
	c.h.MIB.TCPAckCompressed += uint64(k.held)
	k.at, k.held, k.news = 0, 0, 0
}

package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// Reset answers a segment for which there is no connection, or which the connection refuses: RFC 9293 §3.10.7.1,
// "An incoming segment containing a RST is discarded. An incoming segment not containing a RST causes a RST to be sent
// in response."
func Reset(h *Host, f *Flow, s *Segment, out Out) {
	if s.Flags.Any(wire.RST) {
		return
	}
	r := h.header()
	if s.Flags.Any(wire.ACK) {
		r.Flags, r.Seq = wire.RST, s.Ack // "<SEQ=SEG.ACK><CTL=RST>"
	} else {
		r.Flags, r.Ack = wire.RST|wire.ACK, s.end() // "<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"
	}
	h.MIB.OutRsts++
	out.Reply(f, r)
}

// rcvRST is "second, check the RST bit", with RFC 5961 §3.2: "If the RST bit is set and the sequence number exactly
// matches the next expected sequence number (RCV.NXT), then TCP endpoints MUST reset the connection [...]. If the
// RST bit is set and the sequence number does not exactly match [...] yet is within the current receive window, TCP
// endpoints MUST send an acknowledgment (challenge ACK)" RFC 9293 §3.10.7.4. Like the kernel, the end of the highest
// SACKed range is as good as RCV.NXT: the peer may have lost what is missing for ever.
func (c *Conn) rcvRST(now int64, s *Segment) {
	if s.Seq == c.rcvNxt || c.resetAfterFIN(s) || c.ooo != nil && len(c.ooo.runs) > 0 &&
		c.is(flagSACK) && s.Seq == c.ooo.runs[len(c.ooo.runs)-1].end {
		c.peerReset(now)
		return
	}
	c.challenge(now)
}

// resetAfterFIN says whether a reset names the FIN we have taken already: some hosts reset what they have closed
// (tcp_reset_check).
func (c *Conn) resetAfterFIN(s *Segment) bool {
	return s.Seq == c.rcvNxt-1 && c.state.in(CloseWait, LastAck, Closing)
}

// peerReset: "any outstanding RECEIVEs and SEND should receive "reset" responses [...] Users should also receive an
// unsolicited general "connection reset" signal. Enter the CLOSED state".
func (c *Conn) peerReset(now int64) {
	err := ErrReset
	if c.state == CloseWait {
		err = ErrPipe
	}
	if c.state.in(Established, CloseWait) {
		c.h.MIB.EstabResets++
	}
	c.fail(now, err)
}

// sendReset makes the next Output send a reset, <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK> as Linux. Then the connection is gone.
func (c *Conn) sendReset(now int64) {
	if c.ack.pending&ackAnswer != 0 { // what the kernel would have acknowledged by now is: the peer's program may ask what was (SIOCOUTQ)
		c.set(flagLastACK)
	}
	c.set(flagRST)
	c.lastSeq = c.acceptableSeq()
	c.h.MIB.OutRsts++
}

package tcp

import "testing"

// checkReceiver recounts the receiving half: what is queued is what RCV.NXT says, and the runs out of order are in order,
// apart from each other, and as long as their frames.
func checkReceiver(t testing.TB, c *Conn) {
	t.Helper()
	bytes, frames := 0, int32(0)
	for b := c.rq.head; b != nil; b = b.Next {
		must(t, b.Refs() > 0 && b.Len() > 0, "the receive queue holds a frame with %d references and %d bytes", b.Refs(), b.Len())
		must(t, b.Next != nil || b == c.rq.tail, "the receive queue's tail is the last frame")
		bytes += b.Len()
		frames++
	}
	must(t, bytes == c.rq.bytes && frames == c.rq.frames, "%d bytes in %d frames, counted %d in %d", bytes, frames, c.rq.bytes, c.rq.frames)
	if c.is(flagOrphan) || c.state.in(Closed, SynSent) {
		return
	}
	end := c.copied.Add(c.rq.bytes)
	if c.is(flagFINRcvd) {
		end++
	}
	must(t, end == c.rcvNxt, "read up to %d, %d bytes queued, RCV.NXT %d", c.copied-c.irs, c.rq.bytes, c.rcvNxt-c.irs)
	must(t, c.rcvWup.LEQ(c.rcvNxt), "the window was told at %d, behind RCV.NXT %d", c.rcvWup-c.irs, c.rcvNxt-c.irs)
	if c.ooo != nil {
		checkRuns(t, c)
	}
}

func checkRuns(t testing.TB, c *Conn) {
	t.Helper()
	r := c.ooo
	must(t, len(r.runs) <= maxRuns, "%d runs", len(r.runs))
	must(t, len(r.runs) > 0 || r.fin, "an empty reassembly is kept")
	must(t, !c.is(flagFINRcvd), "something is out of order behind the FIN")
	frames, last := 0, c.rcvNxt
	for i := range r.runs {
		u := &r.runs[i]
		must(t, u.seq.GT(last), "run %d begins at %d, not behind %d", i, u.seq-c.irs, last-c.irs)
		n := 0
		for b := u.head; b != nil; b = b.Next {
			must(t, b.Len() > 0 && b.Refs() > 0, "run %d holds a frame with %d bytes", i, b.Len())
			must(t, b.Next != nil || b == u.tail, "run %d: the tail is the last frame", i)
			n += b.Len()
			frames++
		}
		must(t, n == u.end.Sub(u.seq), "run %d has %d bytes for %d numbers", i, n, u.end.Sub(u.seq))
		last = u.end
	}
	must(t, frames == r.frames, "%d frames out of order, counted %d", frames, r.frames)
	for _, s := range r.recent[:r.nrec] {
		_ = s // a number whose run is gone is allowed: sackBlocks leaves it out
	}
}

// checkConn is all that must hold of a connection between two events.
func checkConn(t testing.TB, c *Conn) {
	t.Helper()
	checkReceiver(t, c)
	if c.state == Closed {
		must(t, c.snd.q.empty() && c.ooo == nil, "a closed connection holds frames")
		must(t, c.Deadline() == 0, "a closed connection has a timer")
		return
	}
	if !c.is(flagFrozen) {
		checkSender(t, &c.snd)
	}
	s := &c.snd
	must(t, s.una.LEQ(s.nxt) && s.nxt.LEQ(s.end), "SND.UNA, SND.NXT, end are %d, %d, %d", s.una-s.iss, s.nxt-s.iss, s.end-s.iss)
	must(t, s.cwnd <= 1<<24, "cwnd is %d", s.cwnd)
	must(t, s.mss > 0 && s.mss <= maxPayload, "the MSS is %d", s.mss)
	must(t, !c.state.in(FinWait2) || s.una == s.end, "FIN-WAIT-2 with something unacknowledged")
	must(t, !c.state.in(FinWait1, Closing, LastAck) || s.finQueued, "%v without a FIN", c.state)
	must(t, !c.state.in(CloseWait, LastAck, Closing) || c.is(flagFINRcvd), "%v without the peer's FIN", c.state)
	must(t, !c.state.in(Established, FinWait1, FinWait2) || !c.is(flagFINRcvd), "%v with the peer's FIN", c.state)
}

// checkACK: between two events an ACK that is owed has a time to leave at, and one that waits for an answer stands in the lists.
func checkACK(t testing.TB, c *Conn) {
	t.Helper()
	a, all := &c.ack, &c.h.Answers
	if c.state == Closed || c.is(flagFrozen) || a.pending&ackScheduled == 0 {
		must(t, a.pending&(ackAnswer|ackRead|ackWaits) == 0, "%v: an answer is awaited, and no ACK is owed", c.state)
		return
	}
	must(t, c.state == SynSent || a.at != 0 || c.ooo != nil && c.ooo.comp.at != 0, "%v: an ACK is owed, and nothing says when (%x)", c.state, a.pending)
	must(t, a.pending&ackAnswer != 0 || a.pending&(ackRead|ackWaits) == 0, "read, and no answer is awaited")
	listed, read, reads := 0, 0, 0
	for _, w := range all.list[all.first:] {
		if w.c == c && !w.over() {
			listed++
		}
	}
	for _, r := range all.read {
		if r == c {
			read++
		}
		if r != nil && r.ack.pending&ackRead != 0 {
			reads++
		}
	}
	must(t, a.pending&ackAnswer == 0 || listed > 0 && all.Deadline() != 0 && all.Deadline() <= a.at, "it awaits an answer, and nobody knows")
	must(t, a.pending&ackRead == 0 || read > 0, "it was read, and nobody knows")
	must(t, reads >= all.nread && all.nread >= 0 && all.n >= all.nread, "%d await an answer, %d of them read, and %d are listed as such", all.n, all.nread, reads)
}

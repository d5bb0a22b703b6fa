package tcp

// Note is one entry of the error queue, which recvmsg(2) with MSG_ERRQUEUE gives as a struct sock_extended_err: the bytes of
// MSG_ZEROCOPY writes are the program's again, or a time stamp that SO_TIMESTAMPING asked for.
type Note struct {
	At         int64 // of a time stamp, ns; 0 for a write that is over
	Info, Data uint32
	Origin     uint8
	Code       uint8
}

// Origins of notes, and what a note of a write or of a time stamp says; <linux/errqueue.h>.
const (
	NoteOfStamp  = 4 // SO_EE_ORIGIN_TIMESTAMPING
	NoteOfWrites = 5 // SO_EE_ORIGIN_ZEROCOPY: the writes Info to Data

	noteCopied = 1 // SO_EE_CODE_ZEROCOPY_COPIED

	stampSent      = 0 // SCM_TSTAMP_SND
	stampScheduled = 1 // SCM_TSTAMP_SCHED
	stampAcked     = 2 // SCM_TSTAMP_ACK
)

// noteCost is what a time stamp takes of the receive buffer, as a skb without data does.
const noteCost = 768

// errQueue is the error queue of a connection, and what will come into it.
type errQueue struct {
	notes  []Note
	writes []zeroCopy  // not acknowledged, oldest first
	stamps []sendStamp // the same
	count  uint32      // MSG_ZEROCOPY writes so far
	base   Seq         // SOF_TIMESTAMPING_OPT_ID counts bytes from here
}

// zeroCopy is a MSG_ZEROCOPY write: end is the number behind its last byte.
type zeroCopy struct {
	id  uint32
	end Seq
}

// sendStamp is a byte whose fate is to be told with the time: the last one of a write.
type sendStamp struct {
	key  Seq
	what uint32 // SOF_TIMESTAMPING_TX_*
}

// noted says whether writes may be asked after.
func (o *Options) noted() bool { return o.ZeroCopy || o.Stamping&stampRecords != 0 }

// errors is the connection's error queue, made when it is needed first.
func (c *Conn) errors() *errQueue {
	x := c.rarely()
	if x.errq == nil {
		x.errq = &errQueue{}
	}
	return x.errq
}

// Noted says whether something is in the error queue: poll tells POLLERR then.
func (c *Conn) Noted() bool { return c.rare != nil && c.rare.errq != nil && len(c.rare.errq.notes) > 0 }

// TakeNote takes the oldest note out of the error queue.
func (c *Conn) TakeNote() (Note, bool) {
	if !c.Noted() {
		return Note{}, false
	}
	q := c.rare.errq
	n := q.notes[0]
	q.notes = append(q.notes[:0], q.notes[1:]...)
	if len(q.notes) > 0 {
		c.wake(true, true) // "if (skb_next) sk_error_report(sk)"
	}
	return n, true
}

// noteWrite is called when a write took bytes: whole says that it is over.
func (c *Conn) noteWrite(flags int, whole bool) {
	o := c.opt
	if o.ZeroCopy && flags&msgZeroCopy != 0 {
		q := c.errors()
		if n := len(q.writes); n == 0 || flags&MsgContinues == 0 || q.writes[n-1].id != q.count-1 {
			q.writes = append(q.writes, zeroCopy{id: q.count})
			q.count++
		}
		q.writes[len(q.writes)-1].end = c.snd.end
	}
	if what := o.Stamping & stampRecords; what != 0 && (whole || flags&MsgWaits == 0) {
		c.errors().stamp(c.snd.q.tail, sendStamp{c.snd.end.Add(-1), what})
	}
}

// stamp asks for the times of a byte: "the last byte" of a segment has them, a later write that goes into the same one is told
// instead.
func (q *errQueue) stamp(tail *txRec, s sendStamp) {
	if n := len(q.stamps); n > 0 && tail != nil && !tail.has(recSent) && q.stamps[n-1].key.GEQ(tail.seq) {
		q.stamps = q.stamps[:n-1]
	}
	q.stamps = append(q.stamps, s)
}

// sentNotes tells that bytes have left: a time stamp when they went to the queue of the device, and one when the device took
// them, which is the same instant here.
func (c *Conn) sentNotes(now int64, t *txSeg) {
	q := c.rare.errq
	if q == nil || t.n == 0 {
		return
	}
	for _, s := range q.stamps {
		if s.key.LT(t.seq) || s.key.GEQ(t.end()) {
			continue
		}
		if s.what&stampOnQueueing != 0 {
			c.noteStamp(now, stampScheduled, s)
		}
		if s.what&stampOnSending != 0 {
			c.noteStamp(now, stampSent, s)
		}
	}
}

// ackedNotes tells of what the peer has.
func (c *Conn) ackedNotes(now int64) {
	q := c.rare.errq
	if q == nil {
		return
	}
	for len(q.stamps) > 0 && q.stamps[0].key.LT(c.snd.una) {
		if s := q.stamps[0]; s.what&stampOnACK != 0 {
			c.noteStamp(now, stampAcked, s)
		}
		q.stamps = append(q.stamps[:0], q.stamps[1:]...)
	}
	done := 0
	for done < len(q.writes) && q.writes[done].end.LEQ(c.snd.una) {
		done++
	}
	c.noteWrites(done)
}

// noteWrites tells that the oldest n writes are over: one note for as many as follow each other. All were copied, and say so.
func (c *Conn) noteWrites(n int) {
	q := c.rare.errq
	if n == 0 {
		return
	}
	lo, hi := q.writes[0].id, q.writes[n-1].id
	if k := len(q.notes) - 1; k >= 0 && q.notes[k].Origin == NoteOfWrites && q.notes[k].Data+1 == lo {
		q.notes[k].Data = hi
	} else {
		q.notes = append(q.notes, Note{Origin: NoteOfWrites, Code: noteCopied, Info: lo, Data: hi})
	}
	q.writes = append(q.writes[:0], q.writes[n:]...)
	c.wake(true, true)
}

func (c *Conn) noteStamp(now int64, kind uint32, s sendStamp) {
	q := c.rare.errq
	if len(q.notes)*noteCost >= c.win.buf {
		return
	}
	n := Note{At: now, Origin: NoteOfStamp, Info: kind}
	if c.opt.Stamping&stampByID != 0 {
		n.Data = uint32(s.key.Sub(q.base))
	}
	q.notes = append(q.notes, n)
	c.wake(true, true)
}

// endNotes is the end of the connection: what was not acknowledged never will be, and its bytes are the program's again.
func (c *Conn) endNotes() {
	if c.rare != nil && c.rare.errq != nil {
		c.rare.errq.stamps = nil
		c.noteWrites(len(c.rare.errq.writes))
	}
}

package tcp

// An ACK that is due at once only because the connection is young can travel with what the program sends next, if there soon is something: the
// SYN-ACK's with the request, a first request's with the answer, that of a last answer and the FIN behind it with our own FIN. The kernel
// acknowledges before its program has run, and delays only later ACKs so; "the delay MUST be less than 0.5 seconds" RFC 9293 §3.8.6.3
// (MUST-40). The ACK leaves with data or a FIN, or by itself
//
//	when the program has read all there is and waits again: it has no answer yet. Of a connection that was just made it is told by one wait, and
//	may send when another has told it that it can: the third counts
//	when more comes, or Wait is over
//
// whichever is first. What makes an ACK due for other reasons (a second segment, a hole) does so as ever.

// Answers are the connections that wait for an answer.
type Answers struct {
	Wait int64 // how long an ACK waits for its answer at most; 0: not at all, as the kernel

	n     int // how many wait
	list  []awaited
	first int // where list begins; those before it are done with
	nread int // how many of them the program has read
	read  []*Conn
}

// awaited is a connection that waits until at, unless it has other times by now.
type awaited struct {
	c  *Conn
	at int64
}

func (w awaited) over() bool { return w.c.ack.pending&ackAnswer == 0 || w.c.ack.at != w.at }

// Deadline is when Late must be asked at the latest, 0: no need.
func (a *Answers) Deadline() int64 {
	for ; a.first < len(a.list); a.first++ {
		w := &a.list[a.first]
		if !w.over() {
			return w.at
		}
		w.c = nil
	}
	a.list, a.first = a.list[:0], 0
	return 0
}

// Unanswered says that there are some whose program has read all, and has not answered yet.
func (a *Answers) Unanswered() bool { return a.nread > 0 }

// Late appends the connections to late whose time is over.
func (a *Answers) Late(now int64, late []*Conn) []*Conn {
	for d := a.Deadline(); d != 0 && d <= now; d = a.Deadline() {
		c := a.list[a.first].c
		c.noAnswer()
		late = append(late, c)
	}
	return late
}

// Read appends those to late that the program has read, as it waits now. Output must follow for each, as after Late.
func (a *Answers) Read(late []*Conn) []*Conn {
	a.sweep()
	for _, c := range a.read {
		if c == nil {
			break // the last of them is behind us
		}
		switch {
		case c.ack.pending&ackWaits != 0:
			c.ack.pending -= ackWait
		case c.ack.pending&ackRead != 0:
			c.noAnswer()
			late = append(late, c)
		}
	}
	return late
}

// sweep takes those off the list of the read ones that wait no longer.
func (a *Answers) sweep() {
	n := 0
	for _, c := range a.read {
		if c.ack.pending&ackRead != 0 {
			a.read[n] = c
			n++
		}
	}
	clear(a.read[n:])
	a.read = a.read[:n]
}

func (a *Answers) add(c *Conn) {
	if a.first >= 64 && 2*a.first >= len(a.list) {
		n := copy(a.list, a.list[a.first:])
		clear(a.list[n:])
		a.list, a.first = a.list[:n], 0
	}
	a.list = append(a.list, awaited{c, c.ack.at})
	a.n++
}

// awaitAnswer says whether an ACK that the kernel would send now, because the connection is young or has heard a FIN, waits for what the program
// sends next.
func (c *Conn) awaitAnswer(now int64) bool {
	a := &c.ack
	if a.pending&ackAnswer != 0 {
		return a.pending&ackMore == 0
	}
	young := c.state == Established && c.shut == 0 && a.quick > 0 && !a.pingpong
	if c.h.Answers.Wait == 0 || a.pending&(ackPushed|ackMore) != ackPushed || a.at != 0 || c.ooo != nil || !young && !c.mayEnd() {
		return false
	}
	c.beginAnswer(now)
	return true
}

// mayEnd: the peer has ended behind its last segment, and the program, when it has read that, may do the same.
func (c *Conn) mayEnd() bool {
	return c.state == CloseWait && c.shut&shutSend == 0 && c.h.Answers.Wait != 0
}

// awaitRequest has the ACK of a SYN-ACK wait for the program's first data, which RFC 9293 §3.10.7.3 allows to go with it. There is nothing to read
// first.
func (c *Conn) awaitRequest(now int64) bool {
	if c.h.Answers.Wait == 0 {
		return false
	}
	c.ack.pending = ackScheduled | 2*ackWait
	c.beginAnswer(now)
	c.readUnanswered()
	return true
}

// Prompt has the ACK of the SYN-ACK leave at once, as the kernel's: who waits for the connection may next wait for something that nobody tells of.
func (c *Conn) Prompt() {
	if c.state == SynSent {
		c.ack.pending |= ackNow
	}
}

func (c *Conn) beginAnswer(now int64) {
	c.ack.pending |= ackAnswer
	c.ack.at = now + c.h.Answers.Wait
	c.h.Answers.add(c)
}

// readUnanswered: the program has read all of its request, and may answer until it waits.
func (c *Conn) readUnanswered() {
	if c.ack.pending&ackRead == 0 {
		a := &c.h.Answers
		if len(a.read) >= 64+2*a.nread {
			a.sweep()
		}
		c.ack.pending |= ackRead
		a.nread++
		a.read = append(a.read, c)
	}
}

// Acknowledge has the next Output send an ACK that waits for an answer; false: there is none.
func (c *Conn) Acknowledge() bool {
	if c.ack.pending&ackAnswer == 0 {
		return false
	}
	c.noAnswer()
	return true
}

// noAnswer: its ACK waits no longer.
func (c *Conn) noAnswer() {
	c.endAnswer()
	c.ack.pending |= ackNow
}

// endAnswer: there is nothing that waits for an answer any more.
func (c *Conn) endAnswer() {
	a, all := &c.ack, &c.h.Answers
	if a.pending&ackAnswer == 0 {
		return
	}
	if a.pending&ackRead != 0 {
		if all.nread--; all.nread == 0 {
			clear(all.read)
			all.read = all.read[:0]
		}
	}
	a.pending &^= ackAnswer | ackRead | ackWaits
	a.at = 0
	if all.n--; all.n == 0 {
		clear(all.list)
		all.list, all.first = all.list[:0], 0
	}
}

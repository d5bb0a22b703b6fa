package tcp

// Flags of recv(2) and send(2), and shutdown(2)'s how, as on Linux.
const (
	msgOOB   = 0x1
	msgPeek  = 0x2
	msgTrunc = 0x20
	msgEOR   = 0x80
	msgMore  = 0x8000

	msgZeroCopy = 0x4000000
	msgFastOpen = 0x20000000

	shutRD   = 0
	shutWR   = 1
	shutRDWR = 2
)

// Flags of Write alone.
const (
	MsgWaits     = 1 << 40 // the program waits until all is taken
	MsgContinues = 1 << 41 // what an earlier call did not take of the same write
)

// RecvInfo is what recvmsg(2) tells besides the bytes.
type RecvInfo struct {
	Flags int // MSG_OOB, MSG_TRUNC
}

func iovLen(iov [][]byte) int {
	n := 0
	for _, v := range iov {
		n += len(v)
	}
	return n
}

// Read copies received bytes into iov. flags are those of recv(2) (MSG_PEEK, MSG_TRUNC, MSG_OOB). 0 without an error is
// the end of the stream. Output must follow: reading opens the window.
func (c *Conn) Read(now int64, iov [][]byte, flags int) (int, RecvInfo, error) {
	if c.is(flagFrozen) {
		return 0, RecvInfo{}, ErrFrozen
	}
	if flags&msgOOB != 0 {
		return c.readUrgent(iov, flags)
	}
	want := iovLen(iov)
	n := c.readStream(iov, want, flags)
	if flags&msgPeek == 0 {
		c.adjustSpace(now)
		c.afterRead(n)
	}
	if n > 0 || want == 0 && c.rq.bytes > 0 {
		return n, RecvInfo{}, nil
	}
	return 0, RecvInfo{}, c.readEnd(want)
}

// Skip is Read of n octets that the program has already.
func (c *Conn) Skip(now int64, n int) int {
	n = min(n, c.rq.bytes)
	c.rq.skip(n)
	c.copied = c.copied.Add(n)
	c.adjustSpace(now)
	c.afterRead(n)
	return n
}

// readEnd says why nothing could be read, in the order of tcp_recvmsg.
func (c *Conn) readEnd(want int) error {
	switch {
	case c.is(flagFINRcvd):
		return nil
	case c.err != nil:
		return c.TakeError()
	case c.shut&shutRecv != 0 || c.state == Closed: // tcp_done shuts both directions
		return nil
	case want == 0:
		return nil
	}
	return ErrAgain
}

// readStream copies what there is up to urgent data. The urgent byte itself is skipped when it is next.
func (c *Conn) readStream(iov [][]byte, want, flags int) int {
	done, from := 0, 0 // bytes copied; where in the queue
	for done < want && from < c.rq.bytes {
		n := min(want-done, c.rq.bytes-from)
		if c.urg.have != urgNone {
			at := c.urg.seq.Sub(c.copied) - from
			if at == 0 && done > 0 {
				break
			}
			if at == 0 && !c.opt.OOBInline {
				from++
				if n = min(want-done, c.rq.bytes-from); n == 0 {
					break
				}
			} else if at > 0 {
				n = min(n, at)
			}
		}
		if flags&msgTrunc == 0 {
			c.rq.copy(iov, done, from, n)
		}
		done += n
		from += n
	}
	if flags&msgPeek == 0 && from > 0 {
		c.rq.skip(from)
		c.copied = c.copied.Add(from)
		if c.urg.have != urgNone && c.copied.GT(c.urg.seq) {
			c.urg.have = urgNone
		}
	}
	return done
}

// InQ is SIOCINQ: how many bytes there are before urgent data (tcp_inq).
func (c *Conn) InQ() int {
	if c.connecting() || c.AtMark() && !c.opt.OOBInline && c.rq.bytes > 0 {
		return 0
	}
	return c.Ahead()
}

// Ahead is how many bytes Read would give: it goes past an urgent byte that is next.
func (c *Conn) Ahead() int {
	if at := c.urg.seq.Sub(c.copied); c.urg.have != urgNone && !c.opt.OOBInline && at >= 0 && at < c.rq.bytes {
		if at > 0 {
			return at
		}
		return c.rq.bytes - 1
	}
	return c.rq.bytes
}

// InqHint is what TCP_INQ's ancillary message tells: how much is left to read, and 1 for the end of the stream alone
// (tcp_inq_hint).
func (c *Conn) InqHint() int { return max(c.rcvNxt.Sub(c.copied), 0) }

// readable is how many bytes poll counts against SO_RCVLOWAT.
func (c *Conn) readable() bool {
	target := max(min(c.opt.RcvLowat, windowOf(c.win.buf)/2), 1)
	if c.urg.have != urgNone && c.urg.seq == c.copied && !c.opt.OOBInline {
		target++
	}
	// No more may come before some is read: the window is closed, or frames are scarce (tcp_rmem_pressure).
	return c.rq.bytes >= target || c.rq.bytes > 0 && (c.offered() < int(c.ack.rcvMSS) || c.starved() || c.saturated())
}

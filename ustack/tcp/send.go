package tcp

// Write queues bytes and returns how many fitted; ErrAgain for none. flags are those of send(2) (MSG_MORE, MSG_OOB).
// Output must follow.
func (c *Conn) Write(now int64, iov [][]byte, flags int) (int, error) {
	if c.Deferred() && !c.is(flagFrozen) {
		return c.openFast(now, iov, flags), nil
	}
	if flags&msgFastOpen != 0 {
		return 0, c.fastTwice()
	}
	if err := c.mayWrite(); err != nil {
		if flags&MsgWaits != 0 && c.state == SynSent && err == ErrAgain {
			c.rarely().pending = true
		}
		return 0, err
	}
	c.growMTU(now)
	f := 0
	if flags&msgMore != 0 {
		f = writeMore
	}
	want, done := iovLen(iov), 0
	if flags&msgOOB != 0 && want > 0 {
		c.snd.urgent = true
	}
	for i, v := range iov {
		if len(v) == 0 {
			continue
		}
		vf := f
		if done+len(v) < want && i < len(iov)-1 {
			vf |= writeMore
		} else if flags&msgEOR != 0 {
			vf |= writeEOR
		}
		n := c.snd.write(now, v, vf)
		done += n
		if n < len(v) {
			break
		}
	}
	if flags&msgOOB != 0 && done > 0 {
		c.sndUp = c.snd.end // the pointer names the octet behind the urgent one, as everywhere
	}
	c.snd.urgent = c.sndUp.GT(c.snd.una)
	if done == 0 && want > 0 {
		return 0, ErrAgain
	}
	if done > 0 && c.opt.noted() {
		c.noteWrite(flags, done == want)
	}
	return done, nil
}

// mayWrite is the order of tcp_sendmsg: a pending error, then a shut direction, then not connected yet.
func (c *Conn) mayWrite() error {
	switch {
	case c.is(flagFrozen):
		return ErrFrozen
	case c.err != nil:
		return c.TakeError()
	case c.shut&shutSend != 0, !c.state.in(Established, CloseWait, SynSent, SynReceived):
		return ErrPipe
	case c.connecting():
		return ErrAgain
	}
	return nil
}

// fastTwice is what MSG_FASTOPEN gets on a socket that is connected, or about to be.
func (c *Conn) fastTwice() error {
	switch {
	case c.is(flagFrozen):
		return ErrFrozen
	case c.h.Params.FastOpen&fastClient == 0:
		return ErrNotSupp
	case c.connecting():
		return ErrAlready
	}
	return ErrIsConn
}

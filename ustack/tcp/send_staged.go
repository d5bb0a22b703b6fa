package tcp

// WriteStaged queues octets that the program was told it had written, when there was room: the buffer's limit does not count for them.
// corked: they were written between setting TCP_CORK and clearing it. A pending error stays for a call that can tell it.
// Output must follow.
func (c *Conn) WriteStaged(now int64, b []byte, corked bool) (int, error) {
	switch {
	case c.is(flagFrozen):
		return 0, ErrFrozen
	case c.err != nil, c.shut&shutSend != 0, !c.state.in(Established, CloseWait):
		return 0, ErrPipe
	}
	if corked {
		c.snd.setCork(true)
	}
	n := c.snd.write(now, b, writeWhole)
	if corked && n == len(b) {
		c.snd.setCork(false)
		if c.opt.Cork { // a listener's, inherited
			c.ownOptions().Cork = false
		}
	}
	if n > 0 && c.opt.noted() {
		c.noteWrite(0, true)
	}
	if n == 0 && len(b) > 0 {
		return 0, ErrAgain
	}
	return n, nil
}

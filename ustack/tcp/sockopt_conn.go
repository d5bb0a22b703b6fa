package tcp

import "encoding/binary"

// SetOption is setsockopt(2) for SOL_SOCKET and IPPROTO_TCP; ErrNoProtoOpt for an option that is not of TCP. Output must
// follow.
func (c *Conn) SetOption(now int64, level, name int, val []byte) error {
	if c.is(flagFrozen) {
		return ErrFrozen
	}
	if level == solTCP && name == tcpQuickAck {
		return c.setQuickAck(val)
	}
	if level == solTCP && name == tcpWindowClamp && len(val) >= 4 && binary.NativeEndian.Uint32(val) == 0 && c.state != Closed {
		return ErrInval
	}
	if c.state != Closed && level == solTCP && (name == tcpFastOpen || name == tcpFastConnect || name == tcpFastNoCookie) {
		return ErrInval // before connect(2) and listen(2) only
	}
	o := *c.opt
	if err := o.set(c.h.Params, level, name, val); err != nil {
		return err
	}
	before := c.opt.Stamping
	*c.ownOptions() = o
	c.stampIDs(before)
	c.optionChanged(now, level, name)
	return nil
}

// optionChanged makes a new value of an option work.
func (c *Conn) optionChanged(now int64, level, name int) {
	o := c.opt
	switch {
	case level == solSocket && (name == soSndBuf || name == soSndBufForce):
		c.snd.buf.size, c.snd.buf.locked = o.SndBuf, true
		c.wake(false, true)
	case level == solSocket && (name == soRcvBuf || name == soRcvBufForce):
		c.win.buf, c.win.locked = o.RcvBuf, true
	case level == solSocket && name == soMaxPacing:
		c.snd.setMaxPacing(o.MaxPacing)
	case level == solSocket && name == soKeepAlive:
		c.armKeepalive(now)
	case level == solSocket && name == soRcvLowat:
		c.setRcvLowat()
	case level == solTCP:
		c.tcpOptionChanged(now, name)
	}
}

func (c *Conn) tcpOptionChanged(now int64, name int) {
	o := c.opt
	switch name {
	case tcpNoDelay:
		c.snd.setNoDelay(o.NoDelay)
	case tcpCork:
		c.snd.setCork(o.Cork)
	case tcpKeepIdle:
		c.rearmKeepalive(now)
	case tcpWindowClamp:
		c.win.clamp = min(65535<<c.rcvScale, o.WindowClamp)
		c.win.ssthresh = min(c.win.ssthresh, c.win.clamp)
	case tcpUserTimeout:
		c.snd.userTime = o.UserTimeout
	case tcpNotsentLowat:
		c.snd.buf.lowat = clamp32(o.NotsentLowat)
		c.wake(false, true)
	case tcpSynCnt:
		c.snd.synTries = uint8(o.SynCount)
	case tcpCongestion:
		c.snd.setCongestion(now, o.Congestion)
	}
}

// setRcvLowat lets the buffer hold what the program waits for, as tcp_set_rcvlowat.
func (c *Conn) setRcvLowat() {
	if c.win.locked {
		c.opt.RcvLowat = max(min(c.opt.RcvLowat, c.win.buf/2), 1)
	}
	if !c.win.locked && spaceOf(c.opt.RcvLowat) > c.win.buf {
		c.win.buf = min(spaceOf(c.opt.RcvLowat), c.h.Params.Rmem[2])
		c.win.clamp = max(c.win.clamp, windowOf(c.win.buf))
	}
	c.wake(true, false)
}

// setQuickAck is TCP_QUICKACK: off is the interactive mode, on leaves it and sends what is owed.
func (c *Conn) setQuickAck(val []byte) error {
	if len(val) < 4 {
		return ErrInval
	}
	v := binary.NativeEndian.Uint32(val)
	if v&1 == 0 {
		c.ack.pingpong = true
		return nil
	}
	c.ack.pingpong = false
	c.endAnswer()
	if c.state.in(Established, CloseWait) && c.ack.pending&ackScheduled != 0 {
		c.ack.pending |= ackPushed // what was read is acknowledged now, what was not when it is
		c.afterRead(1)
	}
	return nil
}

// Option is getsockopt(2).
func (c *Conn) Option(now int64, level, name int, out []byte) (int, error) {
	if n, ok := c.opt.text(c.h.Params, level, name, out); ok {
		return n, nil
	}
	switch {
	case level == solTCP && name == tcpFastKey:
		return 0, ErrNoProtoOpt // a listener's keys are not its connections'; the kernel's socket behind this one tells the namespace's
	case level == solTCP && name == tcpSavedSYN:
		return c.takeSavedSYN(out)
	case level == solSocket && name == soError:
		return 0, ErrNoProtoOpt // the caller takes it with TakeError
	case level == solSocket && name == soSndBuf:
		return putInt(out, c.snd.buf.size), nil
	case level == solSocket && name == soRcvBuf:
		return putInt(out, c.win.buf), nil
	case level == solTCP && name == tcpMaxSeg:
		if n := c.opt.MaxSeg; n > 0 && c.state.in(Closed, Listening) {
			return putInt(out, n), nil
		}
		return putInt(out, c.snd.mss), nil
	case level == solTCP && name == tcpInfo:
		return c.info(now, out), nil
	case level == solTCP && name == tcpCCInfo:
		return c.ccInfo(out), nil
	case level == solTCP && name == tcpQuickAck:
		return putInt(out, boolInt(!c.ack.pingpong)), nil
	case level == solTCP && name == tcpWindowClamp:
		return putInt(out, c.win.clamp), nil
	}
	if v, ok := c.opt.get(c.h.Params, level, name); ok {
		return putInt(out, v), nil
	}
	return 0, ErrNoProtoOpt
}

// SetOption is setsockopt(2) on a listening socket: connections accepted from now on have it.
func (l *Listener) SetOption(now int64, level, name int, val []byte) error {
	if countsBytes(level, name, val) {
		return ErrInval
	}
	o := l.opt.clone()
	if err := o.set(l.h.Params, level, name, val); err != nil {
		return err
	}
	l.opt = o // connections share the old one
	return nil
}

// Option is getsockopt(2) on a listening socket.
func (l *Listener) Option(now int64, level, name int, out []byte) (int, error) {
	if n, ok := l.opt.text(l.h.Params, level, name, out); ok {
		return n, nil
	}
	if level == solTCP && name == tcpInfo {
		return l.info(out), nil
	}
	if level == solTCP && name == tcpFastKey {
		return l.fastKeys().text(out), nil
	}
	if v, ok := l.opt.get(l.h.Params, level, name); ok {
		return putInt(out, v), nil
	}
	return 0, ErrNoProtoOpt
}

func (o *Options) clone() *Options {
	n := *o
	return &n
}

// takeSavedSYN is TCP_SAVED_SYN, which gives the headers once: nothing when there are none, ErrInval when out is too small.
func (c *Conn) takeSavedSYN(out []byte) (int, error) {
	if c.rare == nil || c.rare.syn == nil {
		return 0, nil
	}
	if len(out) < len(c.rare.syn) {
		return 0, ErrInval
	}
	n := copy(out, c.rare.syn)
	c.rare.syn = nil
	return n, nil
}

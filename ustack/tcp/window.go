package tcp

// window is the receive buffer's side of flow control.
//
// As in the kernel half of the buffer pays for overhead: a receive buffer of 131072 bytes offers a window of 65536.
type window struct {
	buf      int    // SO_RCVBUF
	clamp    int    // never offer more
	ssthresh int    // offer no more than this yet
	space    int    // bytes the program read in the last round trip
	spaceAt  int64  // when that measure began
	spaceSeq Seq    // and where
	rttSeq   Seq    // where the present window ends, for an estimate without timestamps
	rttAt    int64  // when it began
	rtt      int64  // the receiver's estimate, ns
	rttTS    uint32 // echo that was used for an estimate last
	locked   bool   // SO_RCVBUF was set: no auto-tuning
}

func windowOf(space int) int { return space / 2 }
func spaceOf(window int) int { return window * 2 }

// firstWindow is the first window for a buffer, and the shift that lets the largest buffer be told: as the kernel's
// tcp_select_initial_window.
func firstWindow(buf, clamp, mss int, scaling bool, largest int) (wnd int, scale uint8) {
	wnd = windowOf(buf)
	limit := 65535 << 14
	if clamp > 0 {
		limit = clamp
	}
	wnd = min(wnd, limit)
	if wnd > mss {
		wnd -= wnd % mss
	}
	if !scaling {
		return min(wnd, 65535), 0
	}
	for space := min(max(windowOf(buf), largest), limit); space > 65535 && scale < 14; space >>= 1 {
		scale++ // "the shift count MUST be limited to 14" RFC 7323 §2.3
	}
	return wnd, scale
}

// firstClamp is the largest window there may ever be: "limit the window selection if the user enforce a smaller rx buffer".
func (o *Options) firstClamp() int {
	if full := windowOf(o.RcvBuf); full > 0 && (o.WindowClamp == 0 || o.WindowClamp > full) {
		return full
	}
	return o.WindowClamp
}

// initWindow sets the receive side up before the SYN leaves.
func (c *Conn) initWindow() {
	p, o := c.h.Params, c.opt
	c.win.buf, c.win.locked = p.Rmem[1], false
	if o.RcvBuf > 0 {
		c.win.buf, c.win.locked = o.RcvBuf, true
	}
	wnd, scale := firstWindow(c.win.buf, o.firstClamp(), int(c.advMSS), p.WindowScaling, p.Rmem[2])
	c.rcvWnd, c.rcvScale = uint32(wnd), scale
	c.win.ssthresh = wnd
	c.win.clamp = 65535 << scale
	if o.WindowClamp > 0 {
		c.win.clamp = min(c.win.clamp, o.WindowClamp)
	}
}

// startWindow begins the measures of a connection that just got established, as the kernel's tcp_init_buffer_space.
func (c *Conn) startWindow(now int64) {
	c.win.space = min(int(c.rcvWnd), 10*int(c.advMSS))
	c.win.clamp = min(c.win.clamp, max(windowOf(c.win.buf), int(c.rcvWnd)))
	c.win.ssthresh = min(c.win.ssthresh, c.win.clamp)
	c.win.spaceAt, c.win.spaceSeq = now, c.copied
	c.ack.lastData = now // tcpi_last_data_recv counts from the handshake
}

// offered is what is left of the window last told: "RCV.WND".
func (c *Conn) offered() int { return max(c.rcvWup.Add(int(c.rcvWnd)).Sub(c.rcvNxt), 0) }

// freeSpace is how much more the program's receive buffer takes.
func (c *Conn) freeSpace() int { return max(windowOf(c.win.buf)-c.rq.bytes, 0) }

// starved says that frames have become scarce for all connections.
func (c *Conn) starved() bool { return c.h.Pool.Free() < c.h.Pool.Len()/16 }

// saturated says that received data holds so many frames that the next segment, which may lie in several, is perhaps not taken
// (ustack's admit: from three eighths on, if it is out of order).
func (c *Conn) saturated() bool { return c.h.Pool.Received()+maxPartsIn > c.h.Pool.Len()*3/8 }

// pressed says that receive buffers should not grow further.
func (c *Conn) pressed() bool { return c.h.Pool.Free() < c.h.Pool.Len()/4 }

// windowToOffer is the kernel's __tcp_select_window: "The suggested SWS avoidance algorithm for the receiver is to keep
// RCV.NXT+RCV.WND fixed until the reduction satisfies: RCV.BUFF - RCV.USER - RCV.WND >= min( Fr * RCV.BUFF, Eff.snd.MSS )"
// RFC 9293 §3.8.6.2.2.
func (c *Conn) windowToOffer() int {
	full := min(c.win.clamp, windowOf(c.win.buf))
	free := min(c.freeSpace(), full)
	mss := min(int(c.ack.rcvMSS), full)
	if mss <= 0 {
		return 0
	}
	unit := 1 << c.rcvScale
	if c.mayShrink() {
		free &^= unit - 1
	}
	if free < full/2 {
		c.ack.quick = 0
		if c.pressed() {
			c.win.ssthresh = min(c.win.ssthresh, 4*int(c.advMSS))
		}
		free &^= unit - 1
		if free < full/16 || free < mss {
			return 0
		}
	}
	free = min(free, c.win.ssthresh)
	if c.rcvScale > 0 {
		return (free + unit - 1) &^ (unit - 1)
	}
	wnd := int(c.rcvWnd)
	if wnd <= free-mss || wnd > free {
		return free - free%mss
	}
	if mss == full && free > wnd+full/2 {
		return free
	}
	return wnd
}

// mayShrink is tcp_shrink_window: the window that is offered is what there is room for, even if the peer was told of more. It may send that all
// the same: "a sending TCP peer MUST be robust against window shrinking" RFC 9293 §3.8.6.
func (c *Conn) mayShrink() bool { return c.h.Params.ShrinkWindow && c.rcvScale > 0 }

// selectWindow decides about the window of a segment that leaves now and returns the header's field.
func (c *Conn) selectWindow() uint16 {
	before := c.rcvWnd
	wnd := c.windowToOffer()
	switch cur := c.offered(); {
	case c.ack.pending&ackNoMem != 0: // "Make the window 0 if we failed to queue the data because we are out of memory": the sender would repeat it in vain
		wnd = 0
	case wnd < cur && !c.mayShrink():
		// "A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the left" RFC 9293 §3.8.6,
		// SHLD-14.
		unit := 1 << c.rcvScale
		if wnd == 0 {
			c.h.MIB.TCPWantZeroWindowAdv++
		}
		wnd = (cur + unit - 1) &^ (unit - 1)
	}
	wnd = min(wnd, 65535<<c.rcvScale)
	c.rcvWnd, c.rcvWup = uint32(wnd), c.rcvNxt
	if wnd>>c.rcvScale == 0 && before != 0 {
		c.h.MIB.TCPToZeroWindowAdv++
	} else if wnd != 0 && before == 0 {
		c.h.MIB.TCPFromZeroWindowAdv++
	}
	return uint16(wnd >> c.rcvScale)
}

// growWindow lets the window follow the sender's slow start, as tcp_grow_window: by two segments for one of n bytes, or by twice what came
// as one packet.
func (c *Conn) growWindow(n int) {
	if room := min(c.win.clamp, c.freeSpace()) - c.win.ssthresh; room > 0 && !c.pressed() {
		c.win.ssthresh += min(room, 2*max(int(c.advMSS), n))
		c.ack.quick |= 1
	}
}

// adjustSpace is dynamic right-sizing, as tcp_rcv_space_adjust: a program that reads n bytes in a round trip gets a
// buffer for twice as many, before the sender's window has doubled.
func (c *Conn) adjustSpace(now int64) {
	w := &c.win
	if w.rtt == 0 || now-w.spaceAt < w.rtt {
		return
	}
	copied := c.copied.Sub(w.spaceSeq)
	if copied > w.space {
		c.growBuffer(copied)
	}
	w.spaceSeq, w.spaceAt = c.copied, now
}

// growBuffer is tcp_rcvbuf_grow of Linux 6.18.
func (c *Conn) growBuffer(copied int) {
	w := &c.win
	old := max(w.space, 1)
	w.space = copied
	if !c.h.Params.ModerateRcvbuf || w.locked || c.pressed() {
		return
	}
	want := 2 * copied
	want += 2 * int(int64(want)*int64(copied-old)/int64(old))
	if c.ooo != nil && len(c.ooo.runs) > 0 {
		want += c.ooo.runs[len(c.ooo.runs)-1].end.Sub(c.rcvNxt)
	}
	if buf := min(spaceOf(want), c.h.Params.Rmem[2]); buf > w.buf {
		w.buf = buf
		w.clamp = min(windowOf(buf), 65535<<c.rcvScale)
		if c.opt.WindowClamp > 0 {
			w.clamp = min(w.clamp, c.opt.WindowClamp)
		}
	}
}

// measureRTT estimates the round trip from the receiving side: by the echo of our timestamp where there is one, else
// as the time in which one window of data comes in.
func (c *Conn) measureRTT(now int64, s *Segment) {
	w := &c.win
	if c.is(flagTS) && s.Opts.TSEcr != 0 {
		if s.Opts.TSEcr != w.rttTS && s.Size() >= int(c.ack.rcvMSS) {
			w.rttTS = s.Opts.TSEcr
			if d := int32(c.tsNow(now) - s.Opts.TSEcr); d >= 0 && d < 1<<20 {
				c.sampleRTT(max(int64(d), 1)*1e6, false)
			}
		}
		return
	}
	if w.rttAt != 0 {
		if c.rcvNxt.LT(w.rttSeq) {
			return
		}
		c.sampleRTT(max(now-w.rttAt, 1e3), true)
	}
	w.rttSeq, w.rttAt = c.rcvNxt.Add(int(c.rcvWnd)), now
}

// sampleRTT averages; a sample that the window limited only ever lowers the estimate.
func (c *Conn) sampleRTT(rtt int64, limited bool) {
	w := &c.win
	switch {
	case w.rtt == 0:
		w.rtt = rtt
	case limited:
		w.rtt = min(w.rtt, rtt)
	default:
		w.rtt += (rtt - w.rtt) / 8
	}
}

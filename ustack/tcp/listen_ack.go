package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// rcvSynReceived takes a segment of a half-open connection: RFC 9293 §3.10.7.4 for SYN-RECEIVED, in the order of the
// kernel's tcp_check_req.
func (l *Listener) rcvSynReceived(now int64, i int32, s *Segment, out Out) *Conn {
	r := &l.half.recs[i]
	old := r.flags&flagTS != 0 && s.Opts.Has(wire.HasTimestamp) && int32(r.tsRecent-s.Opts.TSVal) > 0
	ctl := s.Flags & (wire.RST | wire.SYN | wire.ACK)
	if s.Seq == r.irs && ctl == wire.SYN && !old {
		l.repeatSYNACK(now, r, out)
		return nil
	}
	// "If the segment acknowledgment is not acceptable, form a reset segment <SEQ=SEG.ACK><CTL=RST> and send it."
	if ctl.Any(wire.ACK) && s.Ack != r.iss.Add(1) {
		Reset(l.h, &r.flow, s, out)
		return nil
	}
	nxt := r.irs.Add(1)
	if old || !inWindow(s, nxt, r.rcvWnd) {
		if !ctl.Any(wire.RST) && l.mayAnswer(now, r) {
			h := l.h.header()
			r.ack(now, h)
			out.Reply(&r.flow, h)
		}
		return nil
	}
	if r.flags&flagTS != 0 && s.Opts.Has(wire.HasTimestamp) && s.Seq.LEQ(nxt) {
		r.tsRecent = s.Opts.TSVal
	}
	if s.Seq == r.irs {
		ctl &^= wire.SYN // the SYN lies in front of the window
	}
	switch {
	case ctl.Any(wire.RST | wire.SYN):
		l.h.MIB.AttemptFails++
		l.h.MIB.EmbryonicRsts++
		Reset(l.h, &r.flow, s, out)
		l.half.remove(i)
		return nil
	case !ctl.Any(wire.ACK):
		return nil
	case int(r.timeouts) < l.opt.DeferAccept && s.end() == nxt:
		// TCP_DEFER_ACCEPT: a bare ACK is not enough, data must come.
		r.acked = true
		l.h.MIB.TCPDeferAcceptDrop++
		return nil
	}
	return l.complete(now, i, s, out)
}

// mayAnswer is the limit on answers to a half-open connection's odd segments.
func (l *Listener) mayAnswer(now int64, r *halfOpen) bool {
	if l.h.Params.tooSoon(now, r.oowAt) {
		l.h.MIB.TCPACKSkippedSynRecv++
		return false
	}
	r.oowAt = now
	return true
}

// repeatSYNACK answers a SYN sent again: our answer got lost.
func (l *Listener) repeatSYNACK(now int64, r *halfOpen, out Out) {
	if l.mayAnswer(now, r) {
		l.sendSYNACK(now, r, noCookie, out)
	}
}

// complete makes a connection of a half-open one. With a full accept queue the ACK is dropped instead: "the client
// believes that it is connected, and the SYN-ACK will be sent again".
func (l *Listener) complete(now int64, i int32, s *Segment, out Out) *Conn {
	r := &l.half.recs[i]
	if l.acceptFull() {
		l.h.MIB.ListenOverflows++
		if l.h.Params.AbortOverflow {
			l.h.MIB.EmbryonicRsts++
			Reset(l.h, &r.flow, s, out)
			l.half.remove(i)
			return nil
		}
		r.acked = true
		return nil
	}
	c := l.newConn(now, r, s)
	l.half.remove(i)
	l.admit(now, c, s, out)
	return c
}

// newConn makes an established connection: "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state".
func (l *Listener) newConn(now int64, r *halfOpen, s *Segment) *Conn {
	c := l.child(now, r, s)
	c.establish(now)
	c.snd.setPeerWindow(s.Seq, uint32(s.Wnd)<<c.sndScale)
	if r.timeouts == 0 && r.sentAt != 0 {
		c.snd.rtt.sample(c.snd.p, max(now-r.sentAt, 1e3), c.snd.una, c.snd.nxt)
	}
	c.snd.countSYNACKs(now, r.sentAt, r.timeouts)
	l.h.MIB.PassiveOpens++
	return c
}

// child makes a connection in SYN-RECEIVED of what was agreed on.
func (l *Listener) child(now int64, r *halfOpen, s *Segment) *Conn {
	c := newConn(l.h, r.flow, Path{int(r.mtu)}, l.opt)
	c.Ifindex, c.Queue = int32(s.Ifindex), int32(s.Queue)
	c.flags = r.flags
	c.irs, c.rcvNxt = r.irs, r.irs.Add(1)
	c.rcvWup, c.copied = c.rcvNxt, c.rcvNxt
	c.peerMSS, c.sndScale = r.peerMSS, r.sndScale
	c.initWindow()
	c.rcvWnd, c.rcvScale = r.rcvWnd, r.rcvScale
	c.win.ssthresh = int(r.rcvWnd)
	c.win.clamp = min(c.win.clamp, 65535<<r.rcvScale)
	c.paws = pawsState{r.tsRecent, now}
	if r.syn != nil {
		c.rarely().syn = r.syn
	}
	c.state = SynReceived
	c.start(now, r.iss, r.tsOff)
	c.snd.skipSYN(now)
	c.sndUp = c.snd.una
	c.agree(now)
	return c
}

// admit queues an established connection for accept(2) and processes what came with the last ACK.
func (l *Listener) admit(now int64, c *Conn, s *Segment, out Out) {
	l.done.push(c)
	c.segsIn = 2 // the SYN and this ACK, as the kernel counts
	if s.Size() > 0 {
		c.dataIn = 1
	}
	syn := s.Flags
	s.Flags &^= wire.SYN
	c.rcvArrived(now, s, out)
	s.Flags = syn
	if l.Owner != nil {
		l.Owner.TCPEvent(true, false)
	}
}

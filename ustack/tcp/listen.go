package tcp

import (
	"slices"

	"github.com/sluice-net/sluice/ustack/wire"
)

// Listener is a socket in LISTEN: the half-open connections, and those that the program has not accepted yet.
//
// Both queues hold backlog+1 connections, backlog being the smaller of listen(2)'s and net.core.somaxconn. Beyond that
// SYNs are answered with cookies, which need no memory; with a full accept queue SYNs are dropped, and so is the last
// ACK of a handshake: the SYN-ACK is repeated until there is room.
type Listener struct {
	Local Flow // Remote is unset
	Owner Watcher

	h       *Host
	opt     *Options
	backlog int
	half    synQueue
	done    acceptQueue
	fast    fastQueue

	overflow int64 // when the SYN queue was full last: cookies are believed for two minutes from then
}

// Listen makes a listener. backlog is listen(2)'s.
func Listen(h *Host, local Flow, backlog int) *Listener {
	l := &Listener{Local: local, h: h, opt: &defaultOptions}
	l.SetBacklog(backlog)
	l.half.init()
	return l
}

// SetOptions gives the options that connections accepted from now on have.
func (l *Listener) SetOptions(o *Options) { l.opt = o.clone() }

// SetBacklog is listen(2) called again. A negative number means as many as allowed.
func (l *Listener) SetBacklog(backlog int) {
	l.backlog = l.h.Params.Somaxconn
	if backlog >= 0 {
		l.backlog = min(l.backlog, backlog)
	}
}

func (l *Listener) acceptFull() bool { return l.done.n > l.backlog }
func (l *Listener) halfFull() bool   { return l.half.n > l.backlog }

// Input takes a segment for the listener's port that belongs to no connection and no TIME-WAIT. It returns the
// connection that a handshake ended with, which must be put into the table of flows before its Output is called; it is
// in the accept queue already. isn, when not 0, is the initial number that TimeWaits.Input asked for.
func (l *Listener) Input(now int64, f *Flow, s *Segment, p Path, isn Seq, out Out) *Conn {
	if i, r := l.half.find(f); r != nil {
		return l.rcvSynReceived(now, i, s, out)
	}
	// RFC 9293 §3.10.7.2: "First, check for a RST: An incoming RST segment could not be valid since it could not have
	// been sent in response to anything sent by this incarnation of the connection. [...] should be ignored."
	switch {
	case s.Flags.Any(wire.RST):
		return nil
	case s.Flags.Any(wire.ACK):
		if c, ok := l.rcvCookie(now, f, s, p, out); ok {
			return c
		}
		// "Second, check for an ACK: Any acknowledgment is bad if it arrives on a connection still in the LISTEN state.
		// An acceptable reset segment should be formed for any arriving ACK-bearing segment."
		Reset(l.h, f, s, out)
	case s.Flags.Any(wire.SYN) && !s.Flags.Any(wire.FIN):
		return l.rcvSYN(now, f, s, p, isn, out)
	}
	return nil
}

// rcvSYN: "Third, check for a SYN: [...] RCV.NXT is set to SEG.SEQ+1, IRS is set to SEG.SEQ [...]. ISS should be selected
// and a SYN segment sent of the form <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>", within the bounds of tcp_conn_request.
func (l *Listener) rcvSYN(now int64, f *Flow, s *Segment, p Path, isn Seq, out Out) *Conn {
	prm, mib := l.h.Params, &l.h.MIB
	cookie := false
	if prm.SYNCookies == 2 || isn == 0 && l.halfFull() {
		if cookie = prm.SYNCookies > 0; !cookie {
			mib.TCPReqQFullDrop++
			mib.ListenDrops++
			return nil
		}
		mib.TCPReqQFullDoCookies++
	}
	if l.acceptFull() {
		mib.ListenOverflows++
		mib.ListenDrops++
		return nil
	}
	if prm.SYNCookies == 0 && isn == 0 && prm.MaxSYNBacklog-l.half.n < prm.MaxSYNBacklog>>2 {
		mib.ListenDrops++ // the last quarter is for peers known to be alive, and none is known
		return nil
	}
	r := &l.h.half
	l.offer(now, f, s, p, r)
	if cookie {
		l.sendCookie(now, r, s, p, out)
		return nil
	}
	r.iss = isn
	if isn == 0 {
		r.iss = l.h.isn(now, f)
	}
	open, fast := l.fastOpen(now, s, r)
	if open {
		return l.open(now, r, s, fast)
	}
	i := l.half.add(r)
	l.sendSYNACK(now, &l.half.recs[i], fast, out)
	return nil
}

// offer makes a half-open connection of a SYN: what both ends want is agreed on.
func (l *Listener) offer(now int64, f *Flow, s *Segment, p Path, r *halfOpen) {
	prm, o := l.h.Params, &s.Opts
	*r = halfOpen{flow: *f, irs: s.Seq, mtu: int32(p.MTU), ifindex: int32(s.Ifindex), queue: int32(s.Queue),
		sentAt: now, at: now + synackTimeout, tsOff: l.h.tsOffset(f), peerMSS: defaultMSS(f)}
	if o.Has(wire.HasMSS) && o.MSS > 0 {
		r.peerMSS = l.opt.bound(o.MSS)
	}
	if prm.Timestamps && o.Has(wire.HasTimestamp) {
		r.flags |= flagTS
		r.tsRecent = o.TSVal
	}
	if prm.SACK && o.Has(wire.HasSACKPerm) {
		r.flags |= flagSACK
	}
	if prm.WindowScaling && o.Has(wire.HasWScale) {
		r.flags |= flagWScale
		r.sndScale = min(o.WScale, 14)
	}
	// "Host A sends an ECN-setup SYN packet, and Host B sends an ECN-setup SYN-ACK packet." RFC 3168 §6.1.1
	if prm.ECN > 0 && s.Flags.Has(wire.ECE|wire.CWR) {
		r.flags |= flagECN
	}
	l.offerWindow(r)
	r.syn = savedSYN(l.opt.SaveSYN, s)
}

// savedSYN is what TCP_SAVE_SYN keeps of a SYN: its headers.
func savedSYN(how int, s *Segment) []byte {
	switch how {
	case 1:
		return slices.Clone(s.Head[min(s.LinkLen, len(s.Head)):])
	case 2:
		return slices.Clone(s.Head)
	}
	return nil
}

func (l *Listener) offerWindow(r *halfOpen) {
	mss := int(l.mss(r))
	if r.flags&flagTS != 0 {
		mss -= 12
	}
	buf := first(l.opt.RcvBuf, l.h.Params.Rmem[1])
	wnd, scale := firstWindow(buf, l.opt.firstClamp(), mss, r.flags&flagWScale != 0, l.h.Params.Rmem[2])
	r.rcvWnd, r.rcvScale = uint32(wnd), scale
}

// mss is our MSS option for that connection.
func (l *Listener) mss(r *halfOpen) uint16 {
	c := Conn{Flow: r.flow, opt: l.opt, mtu: uint16(min(r.mtu, 65535))}
	return c.mssToTell()
}

// synackTimeout is the first wait for the last ACK: Linux' TCP_TIMEOUT_INIT.
const synackTimeout = 1e9

func (l *Listener) sendSYNACK(now int64, r *halfOpen, fast fastCookie, out Out) bool {
	h := l.h.header()
	r.synack(now, h, l.mss(r))
	fast.put(&h.Opts)
	return out.Reply(&r.flow, h)
}

// Forget drops a half-open connection whose SYN-ACK, numbered quoted, an ICMP error is about: "There is no good way to pass
// the error to the newly created socket, and POSIX does not want network errors returned from accept()" (tcp_req_err).
func (l *Listener) Forget(f *Flow, quoted Seq) {
	if i, r := l.half.find(f); r != nil && r.iss == quoted {
		l.h.MIB.ListenDrops++
		l.half.remove(i)
	}
}

// Deadline is when OnTimer wants to be called, 0 for never.
func (l *Listener) Deadline() int64 { return l.half.deadline() }

// OnTimer repeats SYN-ACKs and gives up what waited too long, as reqsk_timer_handler.
func (l *Listener) OnTimer(now int64, out Out) {
	for level := range l.half.head {
		for i := l.half.head[level]; i >= 0 && l.half.recs[i].at <= now; i = l.half.head[level] {
			l.expire(now, i, out)
		}
	}
}

func (l *Listener) expire(now int64, i int32, out Out) {
	r := &l.half.recs[i]
	limit := l.synackRetries()
	due := int(r.timeouts) >= limit
	resend := true
	if d := l.opt.DeferAccept; d > 0 {
		// "Do not resend while waiting for data after ACK, start to resend on end of deferring period to give last
		// chance for data or ACK to create established socket" syn_ack_recalc.
		due = due && (!r.acked || int(r.timeouts) >= d)
		resend = !r.acked || int(r.timeouts) >= d-1
	}
	if due {
		l.half.remove(i)
		return
	}
	if resend {
		l.h.MIB.RetransSegs++
		l.sendSYNACK(now, r, noCookie, out)
	}
	l.wait(now, i)
}

// wait has a half-open connection wait for its next repetition.
func (l *Listener) wait(now int64, i int32) {
	r := &l.half.recs[i]
	l.half.unlink(i)
	if r.timeouts == 0 {
		l.half.young--
	}
	r.timeouts++
	r.at = now + min(int64(synackTimeout)<<min(int(r.timeouts), 20), int64(l.h.Params.RTOMax))
	l.half.link(i)
}

// Urge repeats the SYN-ACKs of what is half open on a queue now, not when their time has come: whoever goes by that queue to another process in the
// meantime would find nothing. A peer that has it already answers by an ACK (RFC 5961 §4.2), which is what we wait for.
func (l *Listener) Urge(now int64, ifindex, queue int, out Out) {
	for level := levels - 1; level >= 0; level-- { // those that are through wait at the next level
		last := l.half.tail[level]
		for i, next := l.half.head[level], int32(-1); i >= 0; i = next {
			r := &l.half.recs[i]
			if next = r.next; i == last {
				next = -1
			}
			if int(r.ifindex) == ifindex && int(r.queue) == queue && !(r.acked && l.opt.DeferAccept > 0) {
				l.h.MIB.RetransSegs++
				l.sendSYNACK(now, r, noCookie, out)
				l.wait(now, i)
			}
		}
	}
}

// synackRetries is tcp_synack_retries, less when the queue is more than half full of old requests: "we reserve half of
// room for young embrions; and abort old ones without pity, if old ones are about to clog our table".
func (l *Listener) synackRetries() int {
	n := first(l.opt.SynCount, l.h.Params.SYNACKRetries)
	if l.half.n<<1 > max(8, l.backlog) {
		for young := l.half.young << 1; n > 2 && l.half.n >= young; young <<= 1 {
			n--
		}
	}
	return n
}

package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// sendCookie answers a SYN without remembering it: RFC 4987 §3.6. Window scale, SACK and ECN ride in our timestamp, so
// without timestamps they are lost.
func (l *Listener) sendCookie(now int64, r *halfOpen, s *Segment, p Path, out Out) {
	l.h.MIB.SyncookiesSent++
	l.overflow = now
	r.iss = MakeCookie(now, &l.h.secret, r.flow.Local, r.flow.Remote, s.Seq, r.peerMSS)
	h := l.h.header()
	if r.flags&flagTS == 0 {
		r.flags = 0
		l.offerWindow(r)
	}
	r.synack(now, h, l.mss(r))
	if r.flags&flagTS != 0 {
		scale := -1
		if r.flags&flagWScale != 0 {
			scale = int(r.sndScale)
		}
		h.Opts.TSVal = CookieTS(h.Opts.TSVal, scale, r.flags&flagSACK != 0, r.flags&flagECN != 0)
	}
	out.Reply(&r.flow, h)
}

// cookieAge is how long after an overflow an ACK without a half-open connection may be one for a cookie.
const cookieAge = cookieLife * cookieMinute

// rcvCookie makes a connection of an ACK that brings a cookie back. It says false when there is none in it; with a full
// accept queue the ACK is dropped. Unlike in Linux it is remembered then, if there is room: the peer believes that it is connected, and what it sends
// next bears no cookie, and would be reset.
func (l *Listener) rcvCookie(now int64, f *Flow, s *Segment, p Path, out Out) (*Conn, bool) {
	if l.overflow == 0 || now-l.overflow > cookieAge || l.h.Params.SYNCookies == 0 || s.Flags.Any(wire.SYN) {
		return nil, false
	}
	mss, ok := CheckCookie(now, &l.h.secret, f.Local, f.Remote, s.Seq-1, s.Ack-1)
	if !ok {
		l.h.MIB.SyncookiesFailed++
		return nil, false
	}
	l.h.MIB.SyncookiesRecv++
	r := halfOpen{flow: *f, irs: s.Seq - 1, iss: s.Ack - 1, peerMSS: mss, mtu: int32(p.MTU), tsOff: l.h.tsOffset(f),
		ifindex: int32(s.Ifindex), queue: int32(s.Queue), at: now + synackTimeout, acked: true}
	if l.h.Params.Timestamps && s.Opts.Has(wire.HasTimestamp) { // else the echo is not of ours
		r.fromTimestamp(&s.Opts)
	}
	l.offerWindow(&r)
	if l.acceptFull() {
		l.h.MIB.ListenOverflows++
		if !l.halfFull() && !l.h.Params.AbortOverflow {
			l.half.add(&r)
		}
		return nil, true
	}
	c := l.newConn(now, &r, s)
	l.admit(now, c, s, out)
	return c, true
}

// fromTimestamp takes back the options that sendCookie put into our timestamp.
func (r *halfOpen) fromTimestamp(o *wire.TCPOptions) {
	r.flags |= flagTS
	r.tsRecent = o.TSVal
	scale, sack, ecn := CookieOptions(o.TSEcr)
	if scale >= 0 {
		r.flags |= flagWScale
		r.sndScale = uint8(scale)
	}
	if sack {
		r.flags |= flagSACK
	}
	if ecn {
		r.flags |= flagECN
	}
}

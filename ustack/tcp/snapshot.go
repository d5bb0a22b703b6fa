package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// Snapshot is a connection that moves between this stack and the kernel: everything TCP_REPAIR takes.
//
//	SndUna                SndNxt
//	  |<- Unacked ->[FIN]   |<- Unsent ->[FIN]
//
//	        |<- Unread ->[FIN]  RcvNxt
//
// Sequence numbers count a FIN as RFC 9293 does: SndNxt is past ours once it was sent, SndUna once it was acknowledged,
// RcvNxt is past the peer's once it came. Data that came out of order is left behind; the peer sends it again.
type Snapshot struct {
	Flow  Flow
	State State

	SndUna, SndNxt, RcvNxt Seq
	Unacked, Unsent        []byte
	Unread                 []byte

	FINQueued, FINSent, FINReceived bool
	ShutRead                        bool // by shutdown(2)

	MSS                    uint16 // the peer's, without the option space that timestamps take
	SndScale, RcvScale     uint8
	Scaling, SACK          bool
	Timestamps, ECN        bool
	TSVal, TSRecent        uint32 // our clock now, the peer's last
	SRTT                   int64  // ns, 0: no sample yet
	SndWnd, MaxWnd, RcvWnd uint32 // in bytes
	SndWL1, RcvWup         Seq
	Options                Options
	RcvBuf, SndBuf         int // as they are now

	Ifindex, Queue int // where it came in last
	Orphan         bool
}

// Freeze stops all input, output and timers of the connection and returns what it is. ErrCannotMove in a state that
// the kernel cannot be given: before it is established, after it is over, and with urgent data unread. Of an urgent octet that was read the
// kernel is not told: the mark does not move along, nor does
// an error that is kept (KeepError).
func (c *Conn) Freeze(now int64) (*Snapshot, error) {
	switch {
	case c.is(flagFrozen):
		return nil, ErrFrozen
	case !c.state.synchronized(), c.halfFast(), c.urgentUnread():
		return nil, ErrCannotMove
	}
	c.set(flagFrozen)
	c.snd.frozen = true
	c.endAnswer()
	return c.snapshot(now), nil
}

func (c *Conn) snapshot(now int64) *Snapshot {
	st := c.snd.snapshot()
	s := &Snapshot{Flow: c.Flow, State: c.state, SndUna: st.Una, SndNxt: st.Nxt, RcvNxt: c.rcvNxt,
		FINQueued: st.FINQueued, FINSent: st.FINSent, FINReceived: c.is(flagFINRcvd), ShutRead: c.shut&shutRecv != 0 && !c.is(flagFINRcvd),
		MSS: uint16(c.mssWithoutOptions()), SndScale: c.sndScale, RcvScale: c.rcvScale, Scaling: c.is(flagWScale),
		SACK: c.is(flagSACK), Timestamps: c.is(flagTS), ECN: c.is(flagECN), TSVal: c.tsNow(now),
		TSRecent: c.paws.recent, SRTT: c.srtt(), SndWnd: st.Wnd, MaxWnd: st.MaxWnd, RcvWnd: c.rcvWnd, SndWL1: st.WL1, RcvWup: c.rcvWup,
		Options: *c.opt, RcvBuf: c.win.buf, SndBuf: c.snd.buf.size,
		Ifindex: int(c.Ifindex), Queue: int(c.Queue), Orphan: c.is(flagOrphan)}
	sent := min(st.Nxt.Sub(st.Una), len(st.Data))
	s.Unacked, s.Unsent = st.Data[:sent:sent], st.Data[sent:]
	s.Unread = c.unread()
	return s
}

// unread is what is still to be read of the stream.
func (c *Conn) unread() []byte {
	b := make([]byte, c.rq.bytes)
	if c.rq.bytes > 0 {
		c.rq.copy([][]byte{b}, 0, 0, c.rq.bytes)
	}
	if at := c.urg.seq.Sub(c.copied); c.urg.have == urgRead && !c.opt.OOBInline && at >= 0 && at < len(b) {
		b = append(b[:at], b[at+1:]...)
	}
	return b
}

func (c *Conn) mssWithoutOptions() int {
	if c.is(flagTS) {
		return int(c.snd.pmtu.limit) + 12
	}
	return int(c.snd.pmtu.limit)
}

// Thaw undoes Freeze. Output must follow.
func (c *Conn) Thaw(now int64) {
	c.clear(flagFrozen)
	c.snd.frozen = false
}

// Forget drops a frozen connection without a word to the peer: it is somebody else's now.
func (c *Conn) Forget(now int64) {
	c.clear(flagFrozen | flagRST | flagLastACK)
	c.rq.drop()
	c.Owner = nil
	c.done(now)
}

// Adopt makes a connection from a snapshot. Output must follow. ErrNoMem: there are not enough frames for what is
// queued.
func Adopt(now int64, h *Host, s *Snapshot, p Path) (*Conn, error) {
	if !s.State.synchronized() || s.State == TimeWait {
		return nil, ErrCannotMove
	}
	var o *Options // nil: shared by all that have the defaults
	if s.Options != DefaultOptions() {
		own := s.Options
		o = &own
	}
	c := newConn(h, s.Flow, p, o)
	c.Ifindex, c.Queue = int32(s.Ifindex), int32(s.Queue)
	c.setWants(s.Timestamps, s.SACK, s.Scaling, s.ECN)
	c.state, c.peerMSS = s.State, max(s.MSS, 88)
	c.adoptReceive(now, s)
	c.start(now, s.SndUna-1, s.TSVal-uint32(now/millisecond))
	c.agree(now)
	if !c.adoptData(now, s) {
		c.snd.drop()
		c.rq.drop()
		return nil, ErrNoMem
	}
	c.sndUp = c.snd.una
	c.startWindow(now)
	c.snd.probeAdopted(now)
	c.adoptShut(now, s)
	return c, nil
}

// adoptReceive takes the receiving half but for the data.
func (c *Conn) adoptReceive(now int64, s *Snapshot) {
	c.initWindow()
	c.sndScale, c.rcvScale = s.SndScale, s.RcvScale
	c.rcvNxt, c.rcvWup, c.rcvWnd = s.RcvNxt, s.RcvWup, s.RcvWnd
	c.irs = s.RcvNxt - 1
	c.copied = s.RcvNxt.Add(-len(s.Unread))
	if s.FINReceived {
		c.copied--
	}
	c.win.buf = max(c.win.buf, s.RcvBuf, min(spaceOf(int(s.RcvWnd)), c.h.Params.Rmem[2]))
	c.win.clamp = 65535 << s.RcvScale
	c.win.ssthresh = max(int(s.RcvWnd), c.win.ssthresh)
	c.paws = pawsState{s.TSRecent, now}
}

// adoptData takes what is queued in both directions.
func (c *Conn) adoptData(now int64, s *Snapshot) bool {
	st := sendState{ISS: s.SndUna - 1, Una: s.SndUna, Nxt: s.SndNxt, Wnd: s.SndWnd, MaxWnd: s.MaxWnd, WL1: s.SndWL1,
		MSS: int(s.MSS), FINQueued: s.FINQueued, FINSent: s.FINSent}
	st.Data = append(append(make([]byte, 0, len(s.Unacked)+len(s.Unsent)), s.Unacked...), s.Unsent...)
	if s.FINSent && s.SndUna == s.SndNxt { // our FIN is acknowledged: nothing is queued any more
		st.FINQueued = false
	}
	st.End = st.Una.Add(len(st.Data))
	if st.FINQueued {
		st.End++
	}
	if s.SndBuf > 0 {
		c.snd.buf.size = max(c.snd.buf.size, s.SndBuf)
	}
	if !c.snd.restore(now, &st) {
		return false
	}
	for p := s.Unread; len(p) > 0; {
		b := c.h.Pool.Get()
		if b == nil {
			return false
		}
		b.Start = pbuf.Headroom
		n := copy(b.Frame()[pbuf.Headroom:], p)
		b.End = b.Start + uint16(n)
		c.rq.push(b)
		p = p[n:]
	}
	return true
}

// adoptShut makes the directions that are over be so.
func (c *Conn) adoptShut(now int64, s *Snapshot) {
	if s.FINReceived {
		c.set(flagFINRcvd)
		c.shut |= shutRecv
	}
	if s.FINQueued || s.FINSent {
		c.shut |= shutSend
		c.snd.finQueued = true
	}
	c.armKeepalive(now)
}

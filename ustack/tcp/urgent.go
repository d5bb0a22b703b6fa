package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// Urgent data as the kernel treats it: one byte, taken out of the stream unless SO_OOBINLINE, the last urgent pointer
// wins, and the pointer means the byte before the one it names ("tcp_stdurg" 0), as everybody's does despite RFC 9293
// §3.8.5.

// urgentState is the receiving side.
type urgentState struct {
	seq  Seq // the urgent byte
	have urgentHave
	byte byte
}

type urgentHave uint8

const (
	urgNone   urgentHave = iota
	urgNotYet            // announced
	urgValid             // in byte
	urgRead              // read by MSG_OOB, still in the stream
)

// rcvUrgent is the sixth check, "check the URG bit" RFC 9293 §3.10.7.4, as tcp_urg.
func (c *Conn) rcvUrgent(s *Segment) {
	if s.Flags.Any(wire.URG) {
		c.urgentPointer(s)
	}
	if c.urg.have != urgNotYet {
		return
	}
	if at := c.urg.seq.Sub(s.Seq); at >= 0 && at < s.Size() {
		c.urg.have, c.urg.byte = urgValid, s.at(at)
		c.wake(true, false)
	}
}

func (c *Conn) urgentPointer(s *Segment) {
	ptr := s.Seq.Add(int(s.Urg))
	if s.Urg > 0 {
		ptr--
	}
	if c.copied.GT(ptr) || ptr.LT(c.rcvNxt) || c.urg.have != urgNone && ptr.LEQ(c.urg.seq) {
		return
	}
	// The byte read last was urgent and is still to be skipped: skip it now.
	if c.urg.have != urgNone && c.urg.seq == c.copied && !c.opt.OOBInline && c.rq.bytes > 0 {
		c.copied++
		c.rq.skip(1)
	}
	c.urg.have, c.urg.seq = urgNotYet, ptr
}

// readUrgent is recv(MSG_OOB).
func (c *Conn) readUrgent(iov [][]byte, flags int) (int, RecvInfo, error) {
	if c.opt.OOBInline || c.urg.have == urgNone || c.urg.have == urgRead {
		return 0, RecvInfo{}, ErrInval
	}
	if c.state == Closed && !c.is(flagFINRcvd) {
		return 0, RecvInfo{}, ErrNotConn
	}
	if c.urg.have == urgValid {
		if flags&msgPeek == 0 {
			c.urg.have = urgRead
		}
		if iovLen(iov) == 0 {
			return 0, RecvInfo{Flags: msgOOB | msgTrunc}, nil
		}
		b := [1]byte{c.urg.byte}
		scatter(iov, 0, b[:])
		return 1, RecvInfo{Flags: msgOOB}, nil
	}
	if c.state == Closed || c.shut&shutRecv != 0 {
		return 0, RecvInfo{}, nil
	}
	return 0, RecvInfo{}, ErrAgain
}

// urgentUnread: urgent data was announced, or came, and was not read.
func (c *Conn) urgentUnread() bool {
	return c.urg.have != urgNone && c.urg.seq.GEQ(c.copied) && (c.urg.have != urgRead || c.opt.OOBInline)
}

// AtMark is SIOCATMARK: the next byte to read is the urgent one.
func (c *Conn) AtMark() bool { return c.urg.have != urgNone && c.urg.seq == c.copied }

// PassMark skips the urgent byte if it is next.
func (c *Conn) PassMark() {
	if c.AtMark() && !c.opt.OOBInline && c.rq.bytes > 0 {
		c.rq.skip(1)
		c.copied = c.copied.Add(1)
		c.urg.have = urgNone
	}
}

// urgentField says what a segment [seq, end) tells about urgent data that we sent.
func (c *Conn) urgentField(seq Seq) (uint16, bool) {
	if c.sndUp.LEQ(c.snd.una) || seq.GEQ(c.sndUp) {
		return 0, false
	}
	switch d := c.sndUp.Sub(seq); {
	case d < 0x10000:
		return uint16(d), true
	case seq.Add(0xffff).GT(c.snd.nxt):
		return 0xffff, true
	}
	return 0, false
}

package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// Plain is the plain case of a connection as others may act on it: somebody who takes the next segment's data to the program before the
// connection has seen the segment, or who sends a segment and tells of it afterwards. It holds until the connection is next called.
//
// A segment that Plain describes is one that Input takes whole, whatever else came before it on other connections: that is the whole
// idea, and each condition below is one that Input or Output asks for on that way.
type Plain struct {
	RcvNxt, SndUna, SndNxt Seq
	TSRecent               uint32    // the least TSval that is not old; the peer's clock
	TSOffset               uint32    // our TSval is milliseconds of now and this
	Room                   int       // octets that the next segment may bring; 0: it may not be taken
	Queued                 *pbuf.Buf // holds all that waits to be read, and may be for long before the connection hears of it; nil: nothing waits, it lies in several frames, or the peer would be told
	Most                   int       // octets that one segment may carry once all that was sent is acknowledged; 0: none may be sent
	Window                 uint16    // the window to tell, as in the header
	PeerWindow             uint32    // octets
	PeerScale              uint8
	SendAt                 int64 // not to be sent before; 0: at any time
}

// plainFlags are those that change what a segment means, or does.
const plainFlags = flagECN | flagOrphan | flagFrozen | flagFINRcvd | flagRST | flagLastACK | flagSYNACK

// Plain says what p holds, and false if the connection is not in its plain state: established, with timestamps, nothing lost, out of order,
// urgent or about to end.
func (c *Conn) Plain(p *Plain) bool {
	s := &c.snd
	if c.state != Established || c.flags&(plainFlags|flagTS) != flagTS || c.shut != 0 || c.err != nil || c.rare != nil ||
		c.ooo != nil || c.dsack.due || c.urg.have != urgNone || c.opt.RcvLowat > 1 || s.state != caOpen {
		return false
	}
	*p = Plain{RcvNxt: c.rcvNxt, SndUna: s.una, SndNxt: s.nxt, TSRecent: c.paws.recent, TSOffset: s.tsOff,
		Window: uint16(min(c.rcvWnd>>c.rcvScale, 65535)), PeerWindow: s.wnd, PeerScale: c.sndScale}
	early := s.mayEarly()
	if q := &c.rq; q.bytes == 0 {
		p.Room = c.offered()
	} else {
		if q.head == q.tail && c.readUnseen() {
			p.Queued = q.head
		}
		// What waits to be read may wait for long: the right edge stays where it was. Once that is half the window, the engine had better tell another.
		left := c.offered()
		p.Window = uint16(min((left+1<<c.rcvScale-1)>>c.rcvScale, 65535))
		early = early && 2*left >= int(c.rcvWnd)
	}
	if early {
		p.Most = min(s.segGoal(), s.mss, onePayload)
		if s.pace.on && s.pace.left <= 0 {
			p.SendAt = s.pace.next
		}
	}
	return true
}

// mayEarly says whether next would let a segment go as soon as all that left is acknowledged: all that was written has left, and no probe,
// cork, FIN or urgent octet has its own rules.
func (s *sender) mayEarly() bool {
	return s.q.unsent == nil && !s.finQueued && !s.urgent && !s.nagle.cork && !s.nagle.more && !s.probe.due && !s.tlp.due &&
		!s.frto.newFirst && s.sb.waits.head == nil && s.cwnd > 0 && !s.pmtu.on && !s.synOut && !s.frozen
}

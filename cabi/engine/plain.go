package engine

import (
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// The plain case of a connection is the C side's: it takes the next segment's data to the program, and sends an answer, before it enters the
// engine. cabi.h tells the rules (struct sl_plain); here is when it may, and what the engine makes of it afterwards.

// Grants, as in cabi.h.
const (
	plainRecv = 1 << iota
	plainQueued
	plainSend
)

// noFrame is a slot's frame that it has not.
const noFrame = ^uint64(0)

// plainCase is what the engine keeps beside the slots.
type plainCase struct {
	off     bool  // SLUICE_FAST
	caught  bool  // the present call was for something that was done early: there is no other reason to look around
	granted int32 // the handle that was last settled, and shown, by the present call, -1: none
	slots   [plains]plainSlot
	says    ustack.Plain
	octets  [1][]byte // what was sent early
}

// plainSlot says whose the slot is.
type plainSlot struct {
	sock           *usock.Socket // nil: nobody's
	ifindex, queue int
	vi             interface{ Resume() }
}

// lockPlain keeps the C side out while the engine works. It holds the lock for less than two microseconds, unless its thread loses the
// processor meanwhile, perhaps to this one: then only sleep lets it go on, whatever the priorities.
func (e *Engine) lockPlain() {
	for i := 0; !e.sh.PlainLock.CompareAndSwap(0, 1); i++ {
		if i > 1000 {
			_ = unix.Nanosleep(&plainPause, nil)
		}
	}
}

var plainPause = unix.Timespec{Nsec: 20_000}

// openPlain says at the end of each call whether there is room for what is done early.
func (e *Engine) openPlain() {
	on := uint32(0)
	if e.plane != nil && !e.stopped && len(e.taps) == 0 && e.plane.stack.Roomy() {
		on = 1
	}
	if e.sh.PlainOn.Load() != on {
		e.sh.PlainOn.Store(on)
	}
}

// grant shows the C side the plain case of a connection that the program has just used.
func (e *Engine) grant(h int32, s *usock.Socket) {
	if e.plain.off || e.plane == nil || s.Tag != h || s.Conn() == nil {
		return
	}
	k, p := &e.plain.slots[h%plains], &e.sh.Plain[h%plains]
	says := &e.plain.says
	if !e.plane.stack.Plain(s, says) {
		if k.sock == s {
			p.Grants.Store(0)
		}
		return
	}
	if (k.sock != s || k.ifindex != says.Ifindex || k.queue != says.Queue) && !e.settleIn(h, s, says) {
		return
	}
	p.tell(says)
	grants := uint32(0)
	if says.Room > 0 {
		grants = plainRecv
	}
	if b := says.Queued; b != nil && e.sh.Words[h].Ready.Load() == usock.PollIn|usock.PollRdNorm|usock.PollOut|usock.PollWrNorm {
		p.Data, p.Queued = uint64(b.Index)*efvi.FrameSize+uint64(b.Start), uint32(b.Len())
		grants |= plainQueued
	}
	if says.Most > 0 && e.spare(p) {
		grants |= plainSend
	}
	p.Grants.Store(grants)
}

// tell copies what differs from call to call.
func (p *Plain) tell(says *ustack.Plain) {
	p.RcvNxt, p.SndUna, p.SndNxt = uint32(says.RcvNxt), uint32(says.SndUna), uint32(says.SndNxt)
	p.TSRecent, p.TSOffset = says.TSRecent, says.TSOffset
	p.Window, p.PeerWindow, p.PeerScale = uint32(says.Window), says.PeerWindow, uint32(says.PeerScale)
	p.Room, p.Most, p.At = uint32(says.Room), uint32(says.Most), uint64(says.SendAt)
	p.Partial = 0
	if says.Partial {
		p.Partial = 1
	}
}

// settleIn gives the slot of handle h to its connection, whoever had it.
func (e *Engine) settleIn(h int32, s *usock.Socket, says *ustack.Plain) bool {
	if old := e.plain.slots[h%plains].sock; old != nil {
		e.free(int(h % plains))
	}
	k, p := &e.plain.slots[h%plains], &e.sh.Plain[h%plains]
	for _, l := range e.plane.lanes {
		if l.ref.Ifindex == says.Ifindex && l.ref.Queue == says.Queue && e.plane.stack.PlainHeaders(s, &p.Head) {
			*k = plainSlot{sock: s, ifindex: says.Ifindex, queue: says.Queue, vi: l.vi}
			p.Ring, p.Payload, p.Frame = uint32(l.ring), pbuf.Headroom, noFrame
			p.Handle.Store(uint32(h) + 1)
			e.plane.stack.Watch(s, true)
			return true
		}
	}
	return false
}

// spare sees that the slot has a frame to send from.
func (e *Engine) spare(p *Plain) bool {
	if p.Frame != noFrame {
		return true
	}
	index, ok := e.plane.stack.Frame()
	if ok {
		p.Frame = uint64(index) * efvi.FrameSize
	}
	return ok
}

// Settled is ustack.Settler: the connection has changed, so what its slot said is void.
func (k sink) Settled(s *usock.Socket) {
	if s.Tag < 0 {
		return
	}
	k.e.update(s.Tag) // the bits as they will be told
	k.e.grant(s.Tag, s)
	k.e.plain.granted = s.Tag
}

// show is the end of a call on a connection: its word and its slot, unless settling has just written them.
func (e *Engine) show(h int32, s *usock.Socket) {
	if e.plain.granted != h {
		e.update(h)
		e.grant(h, s)
	}
}

// revoke takes the slot from a handle, if it has it.
func (e *Engine) revoke(h int32) (had bool) {
	if h < 0 || e.plain.slots[h%plains].sock == nil || e.sh.Plain[h%plains].Handle.Load() != uint32(h)+1 {
		return false
	}
	e.free(int(h % plains))
	return true
}

// revokeAll is for what may change any connection's packets.
func (e *Engine) revokeAll() {
	for i := range e.plain.slots {
		if e.plain.slots[i].sock != nil {
			e.free(i)
		}
	}
}

func (e *Engine) free(i int) {
	k, p := &e.plain.slots[i], &e.sh.Plain[i]
	p.Grants.Store(0)
	p.Handle.Store(0)
	if e.plane != nil {
		e.plane.stack.Watch(k.sock, false)
		if p.Frame != noFrame {
			e.plane.stack.Unframe(uint32(p.Frame / efvi.FrameSize))
		}
	}
	p.Frame = noFrame
	*k = plainSlot{}
}

// catchUp takes in what the C side did, in the order in which it did it. What is due by it leaves when the stack is settled.
func (e *Engine) catchUp(now int64) {
	done := e.sh.PlainDone[:min(e.sh.PlainUsed.Load(), plains)]
	e.sh.PlainUsed.Store(0)
	for _, h := range done {
		if e.plain.slots[h%plains].sock != nil {
			e.catchUpOne(int32(h), now)
		}
	}
}

// catchUpOne takes in what was done for handle h: the packet in the ring first, whose acknowledgment the answer relies on.
func (e *Engine) catchUpOne(h int32, now int64) {
	k, p := &e.plain.slots[h%plains], &e.sh.Plain[h%plains]
	s, st := k.sock, e.plane.stack
	read, sent, taken := int(p.Read), int(p.Sent), p.Taken != 0
	p.Read, p.Sent, p.Taken = 0, 0, 0
	p.Grants.Store(0)
	frame := uint32(p.Frame / efvi.FrameSize)
	if sent > 0 {
		p.Frame = noFrame // the device's now
		now = int64(p.SentAt)
		k.vi.Resume()
		st.Sent(s, frame, tcp.Seq(p.SndNxt), sent)
		defer st.Unframe(frame) // not before its octets are copied
		at := int(frame)*efvi.FrameSize + pbuf.Headroom
		e.plain.octets[0] = e.plane.mem.Bytes[at : at+sent]
	}
	if taken {
		st.TakeNext(now, s)
	}
	if read > 0 && s.Skip(now, read) != read && s.State() == tcp.Established {
		e.debug("%d octets of a connection were given to the program and are not its next", read)
		s.Abort(now)
	}
	if sent == 0 {
		return
	}
	n, err := s.Send(now, e.plain.octets[:], 0)
	if missed := st.Missed(); (missed || n != sent) && err == nil {
		e.debug("%d octets of a connection left early and are not in its queue", sent)
		s.Abort(now) // the peer has what we could not send again
	}
}

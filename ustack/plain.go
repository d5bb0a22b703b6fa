package ustack

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// The plain case outside of the stack: whoever shares the rings takes the next segment's data out, or puts a segment in, by what Plain tells,
// and has the stack catch up later:
//
//	Plain ─► elsewhere: data to the program, a segment to the ring ─► TakeNext, Socket.Skip, Sent and Socket.Send of the same octets
//
// The stack sees the same segments as ever; only the moment differs.

// PlainHead is the length of the headers of a plain segment: Ethernet, IPv4, TCP with a timestamp.
const PlainHead = wire.EthernetLen + wire.IPv4Len + wire.TCPLen + 12

// Plain is what Stack.Plain tells of a connection.
type Plain struct {
	tcp.Plain
	Ifindex, Queue int  // where its packets come in, and go out
	Partial        bool // the peer leaves sums to a device
}

// Settler is a Sink that is told when a watched socket has been looked at, its end included, after all that was due has left: what Plain said before is void.
type Settler interface {
	Settled(s *usock.Socket)
}

// Watch begins or ends telling the Settler of s.
func (s *Stack) Watch(so *usock.Socket, on bool) {
	e, ok := so.Host().(*endpoint)
	switch {
	case !ok:
	case on:
		e.flags |= watched
	default:
		e.flags &^= watched
	}
}

// Plain tells the plain case of a connection; false: it is in none.
func (s *Stack) Plain(so *usock.Socket, p *Plain) bool {
	e, ok := so.Host().(*endpoint)
	if !ok || e.Conn() == nil || e.flags&(inTable|inActive|inBlocked) != inTable || e.IP().MinTTL > 0 {
		return false
	}
	in := s.portOf(e)
	if in == nil || !e.Conn().Plain(&p.Plain) {
		return false
	}
	p.Ifindex, p.Queue, p.Partial = in.info.Ifindex, in.info.Queue, e.flags&sumsLeft != 0
	if in.sums == nil || e.hop == nil || !e.hop.Resolved || e.hop.Ifindex != p.Ifindex {
		p.Most = 0
	}
	return true
}

// PlainHeaders writes the headers of a segment of the connection, with nothing in the fields that differ between segments: lengths, sums,
// numbers, window and timestamps. False: it is not of the usual kind.
func (s *Stack) PlainHeaders(so *usock.Socket, b *[PlainHead]byte) bool {
	e, ok := so.Host().(*endpoint)
	if !ok || e.Conn() == nil {
		return false
	}
	in := s.portOf(e)
	if in == nil || in.info.VLAN != 0 || !e.route() || e.hop.VLAN != 0 {
		return false
	}
	f := &e.Conn().Flow
	if !f.Local.Addr().Is4() {
		return false
	}
	eh := wire.EthernetFields{Dst: e.hop.MAC, Src: in.info.MAC, Type: wire.TypeIPv4}
	eh.Put(b[:])
	o := packetOut{flow: f, head: &tcp.Header{}, ip: e.IP()}
	h := s.ipHeader(&o)
	(&wire.IPv4Fields{TOS: h.TOS, TTL: h.TTL, Proto: h.Proto, DF: !h.Fragment, Src: h.Src, Dst: h.Dst}).Put(b[wire.EthernetLen:])
	at := wire.EthernetLen + wire.IPv4Len
	t := wire.TCPFields{SrcPort: f.Local.Port(), DstPort: f.Remote.Port(), Flags: wire.ACK | wire.PSH, Options: &wire.TCPOptions{Set: wire.HasTimestamp}}
	t.Put(b[at:])
	for _, i := range []int{wire.EthernetLen + 2, wire.EthernetLen + 10} { // total length, header checksum
		binary.BigEndian.PutUint16(b[i:], 0)
	}
	return true
}

// Frame takes a frame for a segment that others will send; its payload begins at pbuf.Headroom. False: there is none to spare.
func (s *Stack) Frame() (uint32, bool) {
	b := s.pool.Get()
	if b == nil {
		return 0, false
	}
	return b.Index, true
}

// Unframe gives one back that was not sent.
func (s *Stack) Unframe(index uint32) { s.pool.At(index).Release() }

// Roomy says that there is room for what others do early: frames for what is sent, no connection holding so much that the next
// packet would be dropped, nothing that waits for a ring.
func (s *Stack) Roomy() bool {
	return s.pool.Available() >= s.pool.Len()/16 && s.pool.Received() <= s.pool.Len()/8 && s.blocked.n() == 0 && !s.unsent()
}

// TakeNext takes the one packet that is next on the connection's queue: those behind it may acknowledge what the stack has not been told of.
func (s *Stack) TakeNext(now int64, so *usock.Socket) {
	s.now = now
	p := s.portOf(so.Host().(*endpoint))
	if p == nil {
		return
	}
	for one := s.rx.ev[:1]; p.vi.Poll(one) == 1; {
		s.event(p, &one[0])
		if one[0].Kind != efvi.EventTX {
			return
		}
	}
}

// early is a segment that left before the stack made it.
type early struct {
	e   *endpoint
	seq tcp.Seq
	n   int
}

// Sent tells that a segment of the connection, with n octets at seq, was put into the transmit ring in a frame of Frame's, which the caller
// still holds (Unframe) beside the device. The same octets must be sent by the socket next: when their segment is made it is taken for that one.
func (s *Stack) Sent(so *usock.Socket, frame uint32, seq tcp.Seq, n int) {
	e := so.Host().(*endpoint)
	b := s.pool.At(frame)
	b.Ref() // the caller's, beside the device's
	b.InFlight = true
	b.Start, b.End = pbuf.Headroom, uint16(pbuf.Headroom+n)
	s.rx.owner[frame] = uint16(e.in)
	s.early = early{e, seq, n}
	s.cnt.TxPackets++
	s.cnt.TxBytes += uint64(PlainHead + n)
	s.ip.Counters.OutRequests++
	s.ip.Counters.OutOctets += uint64(PlainHead - wire.EthernetLen + n)
}

// Missed says whether the segment that Sent told of was never made: the connection ended meanwhile, or there is a mistake.
func (s *Stack) Missed() bool {
	missed := s.early.e != nil
	s.early = early{}
	return missed
}

// left says whether a segment is the one that has left already.
func (s *Stack) left(e *endpoint, h *tcp.Header, n int) bool {
	if s.early.e != e || s.early.seq != h.Seq || s.early.n != n {
		return false
	}
	s.early = early{}
	return true
}

package ustack

import (
	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// packetOut is one packet on its way out: the payload lies in buf.Frame()[off:off+n], headers go in front of it, and more bytes of it
// in rest and the frames linked to that.
type packetOut struct {
	flow   *tcp.Flow
	head   *tcp.Header
	ip     *usock.IPOptions
	hop    *Hop
	port   *port
	buf    *pbuf.Buf
	rest   *pbuf.Buf
	off, n int
	more   int
	sum    uint16 // of the payload, if it is us who needs it
	leave  bool   // the device finishes the checksum
}

// Segment is tcp.Out: a segment of a connection.
//
//	payload.Frame():  | ... eth ip tcp | payload ............ |
//	                        at          off                   off+n
//
// The frame of the payload itself is sent when the headers have room in front of it and no earlier transmission of it is
// still in the ring; else the payload is copied to a frame of its own.
func (s *Stack) Segment(c *tcp.Conn, h *tcp.Header, payload *pbuf.Buf, off, n int) bool {
	e := c.Owner.(*endpoint)
	if !e.route() {
		s.ip.Counters.OutNoRoutes++
		return true // as lost: the retransmission timer tries again, and gives up in the end
	}
	p := s.portFor(e.hop.device(), s.portOf(e))
	if p == nil {
		s.ip.Counters.OutNoRoutes++
		return true
	}
	if s.left(e, h, n) {
		return true
	}
	if !e.hop.Resolved && payload != nil {
		s.resolve(e.hop)
		if s.asks.vain(e.hop, s.now) {
			e.flags |= noNeighbour
			return true
		}
		return s.block(e)
	}
	if s.wait.n > 0 && e.hop.Resolved {
		s.wait.ahead(s, e.hop)
	}
	if joined, room := s.joins(e, p, h, payload, off, n); joined || !room {
		return joined || s.block(e)
	}
	o := packetOut{flow: &c.Flow, head: h, ip: e.IP(), hop: e.hop, port: p, buf: payload, off: off, n: n, leave: p.sums != nil && e.hop.Resolved}
	o.spread(s.pool.FrameSize())
	if !s.frameFor(&o) {
		return s.block(e)
	}
	if s.send(&o) {
		return true
	}
	s.cnt.TxRingFull++
	o.drop()
	return s.block(e)
}

// Reply is tcp.Out: a segment that belongs to no connection.
func (s *Stack) Reply(f *tcp.Flow, h *tcp.Header) bool {
	if h.Flags.Any(wire.RST) && !s.rx.known && s.reg != nil && s.reg.Stray(f) {
		return true
	}
	hop, err := s.way(f.Remote.Addr(), f.Local.Addr())
	if err != nil {
		s.ip.Counters.OutNoRoutes++
		return true
	}
	p := s.portFor(hop.device(), s.rx.port)
	if p == nil {
		s.ip.Counters.OutNoRoutes++
		return true
	}
	o := packetOut{flow: f, head: h, ip: &plainIP, hop: &hop, port: p, leave: p.sums != nil && hop.Resolved}
	if l := s.lists.find(f); l != nil {
		o.ip = l.IP()
	}
	if !s.frameFor(&o) {
		return false
	}
	if !s.send(&o) {
		o.drop()
		return false
	}
	return true
}

var plainIP = usock.DefaultIPOptions()

// frameFor settles which frame carries a packet and takes a reference for the device. Frames come from the reserve:
// ACKs and retransmissions are what gives frames back.
func (s *Stack) frameFor(o *packetOut) bool {
	if o.more > 0 && o.restInFlight() {
		return false
	}
	if b := o.buf; b != nil && o.off == int(b.Start) && !b.InFlight {
		b.Ref()
		if !o.leave {
			o.sum = payloadSum(b, o.off, o.n)
		}
		if o.more > 0 {
			o.takeRest()
		}
		return true
	}
	b := s.pool.GetReserved()
	if b == nil {
		return false
	}
	b.Start, b.End = pbuf.Headroom, uint16(pbuf.Headroom+o.n)
	if o.buf != nil && o.leave {
		copy(b.Bytes(), o.buf.Frame()[o.off:o.off+o.n])
	} else if o.buf != nil {
		o.sum = wire.CopySum(b.Bytes(), o.buf.Frame()[o.off:o.off+o.n])
	}
	o.buf, o.off = b, pbuf.Headroom
	if o.more > 0 {
		o.takeRest()
	}
	return true
}

func payloadSum(b *pbuf.Buf, off, n int) uint16 {
	if int(b.SumEnd) == off+n {
		return b.Sum
	}
	return wire.Sum(b.Frame()[off : off+n])
}

// send writes the headers and queues the packet, on the device or behind its neighbour's unknown address.
func (s *Stack) send(o *packetOut) bool {
	if o.straight() {
		return s.sendStraight(o)
	}
	return s.sendApart(o)
}

// sendApart writes each header by itself.
func (s *Stack) sendApart(o *packetOut) bool {
	t := tcpFields(o)
	hdr := t.Len()
	ipl := ip.HeaderLen(o.flow.Local.Addr())
	frame := o.buf.Frame()
	at := o.off - hdr - ipl - wire.EthernetLen
	pseudo := s.ip.Put(frame[at+wire.EthernetLen:], s.ipHeader(o), hdr+o.n+o.more)
	t.Put(frame[o.off-hdr:])
	if o.leave {
		wire.PutTCPPartial(frame[o.off-hdr:], pseudo)
		return s.transmit(o, at, wire.EthernetLen+ipl)
	}
	wire.PutTCPChecksum(frame[o.off-hdr:], hdr, pseudo, o.sum)
	if !o.hop.Resolved {
		s.resolve(o.hop)
		s.wait.add(s, waiting{buf: o.buf, at: at, end: o.off + o.n, flow: *o.flow})
		return true
	}
	return s.transmit(o, at, 0)
}

func tcpFields(o *packetOut) wire.TCPFields {
	return wire.TCPFields{
		SrcPort: o.flow.Local.Port(), DstPort: o.flow.Remote.Port(), Seq: uint32(o.head.Seq), Ack: uint32(o.head.Ack),
		Flags: o.head.Flags, Window: o.head.Wnd, Urgent: o.head.Urg, Options: &o.head.Opts,
	}
}

// ipHeader fills the stack's one IP header for a packet.
func (s *Stack) ipHeader(o *packetOut) *ip.Header {
	h := &s.txIP
	*h = ip.Header{Src: o.flow.Local.Addr(), Dst: o.flow.Remote.Addr(), Proto: wire.ProtoTCP}
	if h.Src.Is4() {
		h.TOS, h.TTL, h.Fragment = o.ip.TOS, ttl(o.ip.TTL), o.ip.MTUDiscover == 0
	} else {
		h.TOS, h.TTL = o.ip.TClass, ttl(o.ip.Hops)
	}
	if o.head.ECT {
		h.TOS |= ip.ECT0
	}
	return h
}

func ttl(v int16) uint8 {
	if v <= 0 {
		return usock.DefaultTTL
	}
	return uint8(v)
}

// transmit puts the Ethernet header in front of what begins at at and queues the frames. The device finishes the checksum of what begins
// sumAt bytes behind at, unless that is 0.
func (s *Stack) transmit(o *packetOut, at, sumAt int) bool {
	p, hop, b := o.port, o.hop, o.buf
	eh := wire.EthernetFields{Dst: hop.MAC, Src: p.info.MAC, VLAN: p.info.VLAN | hop.VLAN, Type: wire.TypeIPv6}
	if b.Frame()[at+wire.EthernetLen]>>4 == 4 {
		eh.Type = wire.TypeIPv4
	}
	if tag := eh.Len() - wire.EthernetLen; tag > 0 {
		at -= tag
		if sumAt > 0 {
			sumAt += tag
		}
	}
	eh.Put(b.Frame()[at:])
	return s.queue(o, at, sumAt)
}

// queue gives the device a packet that is whole from at on; the references the caller holds become the device's.
func (s *Stack) queue(o *packetOut, at, sumAt int) bool {
	p, b, end := o.port, o.buf, o.off+o.n
	if o.more > 0 {
		if !s.gather(o, at, end, sumAt) {
			return false
		}
	} else if sumAt > 0 {
		if !p.sums.SendSum(b.Index, uint32(at), uint32(end-at), uint16(sumAt), wire.TCPChecksumAt) {
			return false
		}
	} else if !p.vi.Send(b.Index, uint32(at), uint32(end-at)) {
		return false
	}
	b.InFlight = true
	p.queued = true
	s.rx.owner[b.Index] = uint16(p.slot + 1)
	s.cnt.TxPackets++
	s.cnt.TxBytes += uint64(end - at + o.more)
	return true
}

// block notes that a connection has something to send and no room for it; its Output is called when there is.
func (s *Stack) block(e *endpoint) bool {
	if e.flags&inBlocked == 0 {
		e.flags |= inBlocked
		s.blocked.push(e)
	}
	return false
}

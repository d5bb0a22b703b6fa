package ustack

import (
	"net/netip"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// rxState is what one packet on its way in needs; kept in the stack so that nothing is allocated.
type rxState struct {
	ev    [64]efvi.Event
	post  [64]uint32
	owner []uint16 // by frame: 1 + slot of the port that has it, 0: nobody
	pkt   ip.Packet
	seg   tcp.Segment
	flow  tcp.Flow
	icmp  ip.Unreach
	rest  []*pbuf.Buf // frames in which the packet goes on
	hash  [64]uint32  // by event: see foresee
	port  *port       // where the packet came in
	vlan  uint16      // its tag, if it is not the link's

	known bool // the segment's flow is a connection's, or may be one in TIME-WAIT: a reset that answers it is no stray's
}

// drain takes events of one port, at most budget of them, and returns how many there were.
func (s *Stack) drain(p *port, budget int) int {
	done := 0
	for done < budget {
		n := p.vi.Poll(s.rx.ev[:min(len(s.rx.ev), max(budget-done, 2*efvi.MaxPartsIn))])
		s.foresee(p, s.rx.ev[:n])
		for i := range s.rx.ev[:n] {
			if i%ahead == 0 && i+1 < n {
				s.fetch(s.rx.ev[i+1 : min(i+1+ahead, n)])
			}
			if i+1 < n && s.table.n >= foreseen {
				s.foreseeEndpoint(i + 1)
			}
			s.event(p, &s.rx.ev[i])
		}
		done += n
		if n == 0 {
			break
		}
		s.fill(p)
	}
	return done
}

func (s *Stack) event(p *port, ev *efvi.Event) {
	switch ev.Kind {
	case efvi.EventTX:
		s.giveBack(ev.Frame)
		s.hasRoom()
	case efvi.EventDiscard:
		p.posted--
		s.giveBack(ev.Frame)
	case efvi.EventRX, efvi.EventPart:
		p.posted--
		s.rx.owner[ev.Frame] = 0
		b := s.pool.At(ev.Frame)
		b.Start, b.End = uint16(ev.Off), uint16(ev.Off+ev.Len)
		b.MarkReceived()
		s.cnt.RxBytes += uint64(ev.Len)
		s.rx.port = p
		if p.parts.n > 0 || ev.Kind == efvi.EventPart {
			s.part(p, b, ev.Kind == efvi.EventRX)
			return
		}
		s.cnt.RxPackets++
		s.packet(p, b)
		b.Release()
	}
}

// packet takes one frame through Ethernet and IP.
func (s *Stack) packet(p *port, b *pbuf.Buf) {
	tag, typ, data, ok := s.eth.Input(b.Bytes(), p.info.MAC, p.info.VLAN)
	s.rx.vlan = tag
	if !ok || !s.ip.Input(typ, data, restLen(s.rx.rest), &s.rx.pkt) {
		return
	}
	switch pkt := &s.rx.pkt; {
	case pkt.Proto == wire.ProtoTCP:
		s.ip.Counters.InDelivers++
		s.segment(p, b, pkt)
	case pkt.Proto == wire.ProtoICMP && pkt.Is4(), pkt.Proto == wire.ProtoICMPv6 && !pkt.Is4():
		s.ip.Counters.InDelivers++
		s.unreach(pkt)
	default:
		s.ip.Counters.InUnknownProtos++
	}
}

// segment checks a TCP segment and hands it on.
func (s *Stack) segment(p *port, b *pbuf.Buf, pkt *ip.Packet) {
	s.host.MIB.InSegs++
	t, err := wire.ParseTCP(pkt.Payload)
	if err != nil {
		s.host.MIB.InErrs++
		return
	}
	// "The TCP checksum is never optional. The sender MUST generate it [...] and the receiver MUST check it." RFC 9293 §3.1
	if !s.soundTCP(t, pkt, p.info.PartialChecksum) {
		s.host.MIB.InErrs++
		s.cnt.TCPInCsumErrors++
		return
	}
	seg := &s.rx.seg
	seg.Flags, seg.Seq, seg.Ack = t.Flags(), tcp.Seq(t.Seq()), tcp.Seq(t.Ack())
	seg.Wnd, seg.Urg, seg.CE = t.Window(), t.Urgent(), pkt.ECN == ip.CE
	seg.Opts.Parse(t.Options())
	if seg.Opts.Has(wire.HasMD5) { // no connection of ours has a key; Linux: SKB_DROP_REASON_TCP_MD5UNEXPECTED
		s.host.MIB.TCPMD5Unexpected++
		return
	}
	seg.Ifindex, seg.Queue = p.info.Ifindex, p.info.Queue
	seg.Payload, seg.Buf, seg.Head = t.Payload(), nil, nil
	if seg.Flags.Any(wire.SYN) { // TCP_SAVE_SYN
		f := b.Bytes()
		seg.Head, seg.LinkLen = f[:cap(f)-cap(seg.Payload)], cap(f)-cap(pkt.Raw)
	}
	seg.Rest, seg.More = nil, 0
	if pkt.More > 0 {
		s.rest(seg, pkt.More)
	}
	if seg.Size() > 0 {
		s.payload(seg, b)
	}
	s.deliver(p, seg, pkt, t)
}

// payload points the frame at the segment's payload.
func (s *Stack) payload(seg *tcp.Segment, b *pbuf.Buf) {
	b.Start = uint16(s.pool.FrameSize() - cap(seg.Payload))
	b.End = b.Start + uint16(len(seg.Payload))
	seg.Buf = b
}

// admit drops a segment's payload, as if the network had lost it, when too many frames hold data that nobody reads. Its
// ACK still counts: that is what frees the frames of our own data.
//
//	0            3/8         1/2                 5/8                 1 of all frames
//	| all payload | in order  | in order, where    | in order, for what |
//	|             | only      | little is unread   | was out of order   |
//
// Data out of order may wait for ever (its peer is gone), so it must leave room for what can be read; and who does not read, for those who do: "guarantee
// minimum buffer size under pressure", tcp_rmem[0] bytes (Linux, __sk_mem_raise_allocated).
func (s *Stack) admit(c *tcp.Conn, seg *tcp.Segment) {
	held, all := s.pool.Received(), s.pool.Len()
	if seg.Buf == nil || held <= all*3/8 {
		return
	}
	if c != nil && c.InOrder(seg) {
		most := all / 2
		if c.Ahead() < s.host.Params.Rmem[0] {
			most = all * 5 / 8
		}
		if held > most {
			s.host.MIB.PruneCalled++
		}
		for held > most && c.Prune() {
			held = s.pool.Received()
		}
		if held <= most {
			return
		}
		s.host.MIB.RcvPruned++
	}
	s.cnt.RxPayloadDrops++
	seg.Payload, seg.Buf, seg.Rest, seg.More = nil, nil, nil, 0
	seg.Flags &^= wire.FIN | wire.PSH
}

// deliver finds who a segment is for: a connection, a flow in TIME-WAIT, a listener, or nobody.
func (s *Stack) deliver(p *port, seg *tcp.Segment, pkt *ip.Packet, t wire.TCP) {
	k := keyIn(pkt, t)
	if e := s.table.find(&k); e != nil {
		if !s.onItsVLAN(e) {
			return
		}
		if pkt.TTL < e.IP().MinTTL {
			s.cnt.MinTTLDrop++
			return
		}
		if p.info.PartialChecksum && e.flags&sumsLeft == 0 && !s.believes(e) {
			s.host.MIB.InErrs++
			s.cnt.TCPInCsumErrors++
			return
		}
		e.in = uint8(p.slot + 1)
		e.SetLastRX(p.info.Ifindex, p.info.Queue)
		c := &e.conn
		if s.table.n >= foreseen {
			c.Fetch()
		}
		s.admit(c, seg)
		s.rx.known = true
		c.Input(s.now, seg, s)
		s.rx.known = false
		if c.Closed() && e.flags&inTable != 0 { // at once: the next packet may be its successor's SYN, or be answered by TIME-WAIT
			c.Output(s.now, s)
			e.remove()
		}
		s.activate(e)
		return
	}
	f := &s.rx.flow
	*f = tcp.Flow{Local: netip.AddrPortFrom(pkt.Dst(), t.DstPort()), Remote: netip.AddrPortFrom(pkt.Src(), t.SrcPort())}
	if s.gone.has(&k, s.now) {
		if !seg.Flags.Any(wire.SYN) {
			return
		}
		s.gone.drop(k) // the peer uses its port again, and the kernel has nothing there any more: what follows is the new connection's
	}
	l := s.lists.find(f)
	if s.rx.vlan != 0 && l == nil && !s.answersBy(s.rx.vlan) {
		return
	}
	s.admit(nil, seg)
	s.rx.known = true
	verdict, isn := s.host.Waits.Input(s.now, f, seg, l != nil, s)
	s.rx.known = false
	switch {
	case verdict == tcp.Handled:
	case l != nil:
		s.listen(p, l, seg, isn, pkt.TTL)
	default:
		tcp.Reset(s.host, f, seg, s)
	}
}

// listen gives a segment to a listener, and the connection that came of it its place.
func (s *Stack) listen(p *port, l *endpoint, seg *tcp.Segment, isn tcp.Seq, ttl uint8) {
	f := &s.rx.flow
	hop, err := s.way(f.Remote.Addr(), f.Local.Addr())
	if err != nil {
		s.ip.Counters.OutNoRoutes++
		return
	}
	if hop.VLAN != s.rx.vlan {
		s.eth.Counters.OtherVLAN++
		s.astray(seg)
		return
	}
	if s.portFor(hop.device(), p) == nil {
		s.astray(seg)
		return
	}
	c := l.Listener().Input(s.now, f, seg, tcp.Path{MTU: hop.MTU}, isn, s)
	s.activate(l)
	if c == nil {
		return
	}
	e := s.newEndpoint(l.V6(), false, *l.IP())
	e.setHop(hop)
	e.in = uint8(p.slot + 1)
	e.SetFirstTTL(ttl)
	e.SetLastRX(p.info.Ifindex, p.info.Queue)
	e.opened()
	s.activate(e)
}

// unreach hands an ICMP error to the connection it is about; the connection checks the quoted sequence number.
func (s *Stack) unreach(pkt *ip.Packet) {
	u := &s.rx.icmp
	if !s.ip.Error(pkt, u) {
		return
	}
	f := tcp.Flow{Local: u.Local, Remote: u.Remote}
	k := keyOf(f)
	e := s.table.find(&k)
	if e == nil {
		if l := s.lists.find(&f); l != nil && u.Forget {
			l.Listener().Forget(&f, tcp.Seq(u.Seq))
		}
		return
	}
	if !s.onItsVLAN(e) {
		return
	}
	if u.Kind == ip.ErrTooBig {
		e.Conn().PathMTU(s.now, tooBig(u.MTU), tcp.Seq(u.Seq), true)
	} else {
		if u.NoWay {
			e.Conn().RevertBackoff(s.now, tcp.Seq(u.Seq))
		}
		e.Conn().SoftError(s.now, icmpErrors[u.Kind], tcp.Seq(u.Seq), u.Hard)
	}
	s.activate(e)
}

// tooBig is the MTU to try when a router did not tell: the smallest that every IPv4 host takes (RFC 1191 §5).
func tooBig(mtu int) int {
	if mtu == 0 {
		return 576
	}
	return mtu
}

var icmpErrors = [...]error{
	ip.ErrNet: tcp.ErrNetUnreach, ip.ErrHost: tcp.ErrHostUnreach, ip.ErrProto: tcp.ErrNoProtoOpt, ip.ErrPort: tcp.ErrRefused,
	ip.ErrOpNotSup: tcp.ErrNotSupp, ip.ErrHostDown: tcp.ErrHostUnreach, ip.ErrNoNet: tcp.ErrNetUnreach,
	ip.ErrAccess: tcp.ErrAcces, ip.ErrParam: tcp.ErrProto,
}

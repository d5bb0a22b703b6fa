package ustack

import (
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// burst collects the segments that a connection sends one behind the other, for an interface that takes them as one: see
// efvi.Burst. It is sent when a segment comes that does not belong to it, when it is full, or at the end of the turn.
//
//	Segment  Segment  Segment(PSH)        end
//	   └────────┴────────┴───── Burster.Burst, or each by the ring
type burst struct {
	e       *endpoint // whose it is; nil: there is none
	port    *port
	head    tcp.Header // of the first segment
	one     tcp.Header // of the one that leaves by itself
	next    tcp.Seq    // where the next one would begin
	psh     bool       // the last one has PSH
	size    int        // bytes of each but the last
	n       int        // of all
	count   int        // segments
	sent    int        // of these, those that left one by one, with
	left    int        // so many pieces
	pieces  int        // of payload: a segment may lie in several frames
	bufs    [burstMost]*pbuf.Buf
	payload [burstMost][]byte
	front   [pbuf.Headroom]byte
	out     efvi.Burst
}

const (
	burstMost  = 64 // pieces, at most
	burstLeast = 3  // fewer go by the ring: there they share a kick with what else is sent
)

// joins puts a segment into the burst if it belongs there, or can begin one. room is false when another one is in the way,
// and does not find any.
func (s *Stack) joins(e *endpoint, p *port, h *tcp.Header, b *pbuf.Buf, off, n int) (joined, room bool) {
	k := &s.burst
	fit := p.burster != nil && e.hop.VLAN == 0 && b != nil && !b.InFlight && h.Flags&^wire.PSH == wire.ACK && h.Opts.NSACK == 0 && n > 0
	if k.e != nil && !(fit && k.goesOn(e, p, h, n)) && !s.endBurst() {
		return false, false
	}
	if k.e == nil {
		if !fit || h.Flags.Any(wire.PSH) { // nothing follows it
			return false, true
		}
		k.e, k.port, k.head, k.size, k.n, k.count, k.sent, k.pieces, k.left = e, p, *h, n, 0, 0, 0, 0, 0
	}
	k.add(h, b, off, n)
	if k.psh || n < k.size || k.pieces > burstMost-efvi.MaxParts || k.n+k.size > p.info.MaxBurst {
		s.endBurst() // or the next segment's, or the turn's
	}
	return true, true
}

// goesOn says whether the segment differs from those before in what a burst allows only.
func (k *burst) goesOn(e *endpoint, p *port, h *tcp.Header, n int) bool {
	first := &k.head
	return k.e == e && k.port == p && k.sent == 0 && k.pieces <= burstMost-efvi.MaxParts && h.Seq == k.next && n <= k.size && !k.psh &&
		k.n == k.count*k.size && k.n+n <= p.info.MaxBurst &&
		h.Ack == first.Ack && h.Wnd == first.Wnd && h.ECT == first.ECT &&
		h.Opts.Set == first.Opts.Set && h.Opts.TSVal == first.Opts.TSVal && h.Opts.TSEcr == first.Opts.TSEcr
}

// add keeps the frame as it is until the burst has left.
func (k *burst) add(h *tcp.Header, b *pbuf.Buf, off, n int) {
	for left := n; left > 0; b, off = b.Next, pbuf.Headroom {
		b.Ref()
		b.InFlight = true
		p := b.Frame()[off:]
		k.bufs[k.pieces], k.payload[k.pieces] = b, p[:min(left, len(p))]
		left -= len(k.payload[k.pieces])
		k.pieces++
	}
	k.count++
	k.n += n
	k.next = h.Seq.Add(n)
	k.psh = h.Flags.Any(wire.PSH)
}

// endBurst sends what was collected. False: there is no room, and it has to be tried again.
func (s *Stack) endBurst() bool {
	k := &s.burst
	switch {
	case k.e == nil:
		return true
	case s.ports[k.port.slot] != k.port: // taken away: lost, as packets are
		k.drop(k.left)
	case k.sent == 0 && k.count >= burstLeast && s.sendBurst():
		k.drop(0)
	case !s.sendEach():
		return false
	}
	k.e, k.port = nil, nil
	return true
}

// drop lets go of the pieces from the i-th on.
func (k *burst) drop(i int) {
	for _, b := range k.bufs[i:k.pieces] {
		b.InFlight = false
		b.Release()
	}
}

// sendBurst makes the headers of the whole.
func (s *Stack) sendBurst() bool {
	k := &s.burst
	o := packetOut{flow: &k.e.Conn().Flow, head: &k.head, ip: k.e.IP(), hop: k.e.hop, port: k.port}
	if k.psh {
		k.head.Flags |= wire.PSH
	}
	t := tcpFields(&o)
	hdr, ipl := t.Len(), ip.HeaderLen(o.flow.Local.Addr())
	at := len(k.front) - hdr - ipl - wire.EthernetLen
	tcpAt := len(k.front) - hdr
	pseudo := s.ip.Put(k.front[at+wire.EthernetLen:], s.ipHeader(&o), hdr+k.n)
	t.Put(k.front[tcpAt:])
	wire.PutTCPPartial(k.front[tcpAt:], pseudo)
	eh := wire.EthernetFields{Dst: k.e.hop.MAC, Src: k.port.info.MAC, Type: wire.TypeIPv6}
	if k.front[at+wire.EthernetLen]>>4 == 4 {
		eh.Type = wire.TypeIPv4
	}
	eh.Put(k.front[at:])
	k.out = efvi.Burst{Head: k.front[at:], IP: wire.EthernetLen, TCP: tcpAt - at, Payload: k.payload[:k.pieces], Size: k.size}
	if !k.port.burster.Burst(&k.out) {
		k.head.Flags &^= wire.PSH
		return false
	}
	s.cnt.TxPackets += uint64(k.count)
	s.cnt.TxBytes += uint64(k.n + k.count*len(k.out.Head))
	return true
}

func flying(bufs []*pbuf.Buf, on bool) {
	for _, b := range bufs {
		b.InFlight = on
	}
}

// sendEach sends the segments one by one; what finds no room stays.
func (s *Stack) sendEach() bool {
	k := &s.burst
	for ; k.sent < k.count; k.sent++ {
		b, p := k.bufs[k.left], k.payload[k.left]
		size := min(k.size, k.n-k.sent*k.size)
		of := k.bufs[k.left : k.left+tcp.PayloadFrames(s.pool.FrameSize()-cap(p), size)]
		k.one = k.head
		k.one.Seq = k.head.Seq.Add(k.sent * k.size)
		if k.psh && k.sent == k.count-1 {
			k.one.Flags |= wire.PSH
		}
		o := packetOut{
			flow: &k.e.Conn().Flow, head: &k.one, ip: k.e.IP(), hop: k.e.hop, port: k.port, leave: k.port.sums != nil && k.e.hop.Resolved,
			buf: b, off: s.pool.FrameSize() - cap(p), n: size,
		}
		o.spread(s.pool.FrameSize())
		flying(of, false)
		if !s.frameFor(&o) {
			flying(of, true)
			return false
		}
		if !s.send(&o) {
			s.cnt.TxRingFull++
			o.drop()
			flying(of, true)
			return false
		}
		for _, b := range of {
			b.Release()
		}
		k.left += len(of)
	}
	return true
}

package ustack

import (
	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/wire"
)

// straight says whether a packet is as nearly all are: wire.Segment4 then writes its headers, for a third of the time that the
// headers one by one take (sendApart).
func (o *packetOut) straight() bool {
	opts := &o.head.Opts
	return o.hop.Resolved && o.more == 0 && o.port.info.VLAN|o.hop.VLAN == 0 && opts.Set&^wire.HasTimestamp == 0 && opts.NSACK == 0 && o.flow.Local.Addr().Is4()
}

// sendStraight is send for such a packet.
func (s *Stack) sendStraight(o *packetOut) bool {
	h := o.head
	w := wire.Segment4{
		DstMAC: &o.hop.MAC, SrcMAC: &o.port.info.MAC,
		Src: o.flow.Local.Addr().As4(), Dst: o.flow.Remote.Addr().As4(), SrcPort: o.flow.Local.Port(), DstPort: o.flow.Remote.Port(),
		TOS: o.ip.TOS, TTL: ttl(o.ip.TTL), DF: o.ip.MTUDiscover != 0,
		Seq: uint32(h.Seq), Ack: uint32(h.Ack), Flags: h.Flags, Window: h.Wnd, Urgent: h.Urg,
		TS: h.Opts.Has(wire.HasTimestamp), TSVal: h.Opts.TSVal, TSEcr: h.Opts.TSEcr,
		Partial: o.leave, Sum: o.sum, N: o.n,
	}
	if h.ECT {
		w.TOS |= ip.ECT0
	}
	n := w.Len()
	at, sumAt := o.off-n, 0
	w.Put(o.buf.Frame()[at:o.off])
	s.ip.Counters.OutRequests++
	s.ip.Counters.OutOctets += uint64(n - wire.EthernetLen + o.n)
	if o.leave {
		sumAt = wire.EthernetLen + wire.IPv4Len
	}
	return s.queue(o, at, sumAt)
}

package ustack

import (
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// foreseen is how many connections make it worth while to look ahead: fewer stay in the caches.
const foreseen = 64

// ahead is how many packets before its turn one is fetched: so much of one is work as another takes to come.
const ahead = 3

// fetch begins to bring in the headers of the packets of a batch that are soon to be looked at. What a device wrote is in no cache of this processor.
func (s *Stack) fetch(ev []efvi.Event) {
	for i := range ev {
		b := s.pool.At(ev[i].Frame)
		pbuf.Fetch(b)
		const most = wire.EthernetLen + wire.IPv6Len + wire.TCPLen
		if at := int(ev[i].Off); ev[i].Kind == efvi.EventRX && at+most <= s.pool.FrameSize() {
			pbuf.Fetch((*[most]byte)(b.Frame()[at:]))
		}
	}
}

// foresee begins to bring in the connections that packets just received are for, so that a batch of them, or a packet and the work
// on its headers, waits for memory once and not one after the other. Nothing but time depends on it: what it believes of the packets
// is not checked.
//
//	all packets: flow, hash, slot of the table ──► one by one: endpoint of the next, event of this one
//
// An endpoint is as many lines as a processor waits for at once, and those of a batch of 64 would not fit into the nearest cache.
func (s *Stack) foresee(p *port, ev []efvi.Event) {
	if s.table.n < foreseen {
		return
	}
	eth := wire.EthernetLen
	if p.info.VLAN != 0 {
		eth += 4
	}
	for i := range ev {
		s.rx.hash[i] = 0
		if ev[i].Kind != efvi.EventRX && ev[i].Kind != efvi.EventPart {
			continue
		}
		var k key
		b := s.pool.At(ev[i].Frame).Frame()
		if at := int(ev[i].Off) + eth; at+60 <= len(b) && k.guess(b[at:at+60:at+60]) {
			s.rx.hash[i] = s.table.sum(&k)
			pbuf.Fetch(s.table.place(s.rx.hash[i]))
		}
	}
	if len(ev) > 0 {
		s.foreseeEndpoint(0)
	}
}

// foreseeEndpoint begins to bring in the endpoint that the i-th packet of the batch is for.
func (s *Stack) foreseeEndpoint(i int) {
	if h := s.rx.hash[i]; h != 0 {
		if x := s.table.place(h); x.hash == h {
			pbuf.Fetch(x.e)
		}
	}
}

// guess is the flow of a packet without options of IP, whose first 60 bytes are b.
func (k *key) guess(b []byte) bool {
	switch ports := b[wire.IPv4Len:]; {
	case b[0] == 0x45:
		k.local[10], k.local[11], k.remote[10], k.remote[11] = 0xff, 0xff, 0xff, 0xff
		copy(k.remote[12:], b[12:16])
		copy(k.local[12:], b[16:20])
		k.ports = uint32(ports[2])<<24 | uint32(ports[3])<<16 | uint32(ports[0])<<8 | uint32(ports[1])
		return true
	case b[0]>>4 == 6:
		ports = b[wire.IPv6Len:]
		copy(k.remote[:], b[8:24])
		copy(k.local[:], b[24:40])
		k.ports = uint32(ports[2])<<24 | uint32(ports[3])<<16 | uint32(ports[0])<<8 | uint32(ports[1])
		return true
	}
	return false
}

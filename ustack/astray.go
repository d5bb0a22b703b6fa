package ustack

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// astray tells of a SYN that came by a device of ours and cannot be answered: the route to its sender is by another. Nothing is kept of it,
// so that whoever can answer has the connection. Its checksum is finished, as nobody can see any more that it never left the host.
func (s *Stack) astray(seg *tcp.Segment) {
	s.ip.Counters.OutNoRoutes++
	if s.reg == nil || seg.Flags&(wire.SYN|wire.ACK|wire.RST|wire.FIN) != wire.SYN {
		return
	}
	pkt := &s.rx.pkt
	field := pkt.Payload[wire.TCPChecksumAt:][:2]
	field[0], field[1] = 0, 0
	binary.BigEndian.PutUint16(field, ^wire.Add(wire.Sum(pkt.Payload), pkt.Pseudo))
	s.reg.Astray(pkt.Raw)
}

package sim

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/wire"
)

// joinFor is how long a device waits for more of the same, in ns.
const joinFor = 20_000

// join makes one packet of p and those that follow it, as GRO does: "Packets are merged [...] if MAC headers are identical and only a few TCP or IP
// headers differ" (Documentation/networking/segmentation-offloads.rst). So does a sender in the same machine look, who has not cut what he sends.
func (w *world) join(p *packet) {
	whole, ok := seamsOf(p.data)
	if !ok || whole.payload == whole.end || !intact(p.data, p.to) {
		return
	}
	p.data = p.data[:whole.end] // without what pads the frame
	for len(w.wire) > 0 && w.wire[0].to == p.to && w.wire[0].at <= w.now+joinFor && follows(p.data, w.wire[0].data, whole) && intact(w.wire[0].data, p.to) {
		q := heap.Pop(&w.wire).(packet)
		s, _ := seamsOf(q.data)
		p.data = append(p.data, q.data[s.payload:s.end]...)
		p.data[whole.tcp+13] |= q.data[s.tcp+13] // PSH and FIN
		p.also = append(p.also, q.seg)
	}
	if len(p.also) > 0 {
		finish(p.data, whole)
	}
}

// seams are where the parts of a frame begin, in bytes from its start.
type seams struct{ ip, tcp, payload, end int }

func seamsOf(b []byte) (s seams, ok bool) {
	s.ip = wire.EthernetLen
	if len(b) < s.ip+wire.IPv4Len+wire.TCPLen {
		return s, false
	}
	switch be := binary.BigEndian; be.Uint16(b[12:]) {
	case wire.TypeIPv4:
		s.tcp, s.end = s.ip+int(b[s.ip]&15)*4, s.ip+int(be.Uint16(b[s.ip+2:]))
	case wire.TypeIPv6:
		s.tcp, s.end = s.ip+40, s.ip+40+int(be.Uint16(b[s.ip+4:]))
	}
	if s.tcp == 0 || s.end > len(b) || s.tcp+wire.TCPLen > s.end {
		return s, false
	}
	s.payload = s.tcp + int(b[s.tcp+12]>>4)*4
	return s, s.payload <= s.end
}

// follows tells whether b goes on where a ends, and has the headers of a but for lengths, sums, IPv4's identification, PSH and FIN.
func follows(a, b []byte, s seams) bool {
	t, ok := seamsOf(b)
	if !ok || t.tcp != s.tcp || t.payload != s.payload || t.payload == t.end || len(a)-s.ip+t.end-t.payload > 65535 {
		return false
	}
	const mayDiffer = byte(wire.PSH | wire.FIN)
	be, x, y := binary.BigEndian, bytes.Clone(a[:s.payload]), bytes.Clone(b[:s.payload])
	if x[s.tcp+13]&byte(wire.FIN|wire.SYN|wire.RST|wire.URG|wire.CWR) != 0 || be.Uint32(x[s.tcp+4:])+uint32(len(a)-s.payload) != be.Uint32(y[s.tcp+4:]) {
		return false
	}
	for _, h := range [][]byte{x, y} {
		clear(h[s.tcp+4 : s.tcp+8])
		clear(h[s.tcp+16 : s.tcp+18])
		h[s.tcp+13] &^= mayDiffer
		if h[s.ip]>>4 == 4 {
			clear(h[s.ip+2 : s.ip+6])
			clear(h[s.ip+10 : s.ip+12])
		} else {
			clear(h[s.ip+4 : s.ip+6])
		}
	}
	return bytes.Equal(x, y)
}

// finish writes lengths and checksums.
func finish(b []byte, s seams) {
	be, ip, seg := binary.BigEndian, b[s.ip:], b[s.tcp:]
	addrs := ip[8:40]
	if ip[0]>>4 == 4 {
		addrs = ip[12:20]
		be.PutUint16(ip[2:], uint16(len(ip)))
		be.PutUint16(ip[10:], 0)
		be.PutUint16(ip[10:], ^wire.Sum(ip[:s.tcp-s.ip]))
	} else {
		be.PutUint16(ip[4:], uint16(len(ip)-40))
	}
	be.PutUint16(seg[16:], 0)
	be.PutUint16(seg[16:], ^wire.Add(wire.PseudoSum(addrs, wire.ProtoTCP, len(seg)), wire.Sum(seg)))
}

// The stack that receives joined packets is the stack that does not: the same oracles watch it over the same schedules.
func TestSchedulesWithJoinedPackets(t *testing.T) {
	schedulesWith(t, func(p *plan) { p.Joins, p.Bursts = true, p.Seed%3 == 0 })
}

// Some megabytes on a good link come in packets of up to 64 KiB, in as many frames as those take. TCP counts the segments that they were.
func TestTransferOfJoinedPackets(t *testing.T) {
	const size = 4 << 20
	for _, v6 := range []bool{false, true} {
		w := newWorld(t, config{seed: 3, v6: v6, joins: true, link: [2]Link{{Delay: ms}, {Delay: ms}}})
		client, server := w.pair()
		s := w.send(client, server, size)
		s.chunk = 64 << 10
		w.until(10*second, "the transfer", s.over)
		require.NoError(t, s.err)
		packets := w.host[1].Counters().RxPackets
		require.Less(t, packets, uint64(size/16_000), "v6 %v", v6)
		require.InDelta(t, size/1440, server.Conn().SegsIn(), size/1440/50)
	}
}

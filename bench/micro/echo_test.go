package micro

import (
	"encoding/binary"
	"testing"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/wire"
)

// veth is a feeder on which nobody sums, as on veth with the kernel at the other end: packets come with the sum of the
// pseudo-header alone, and leave so.
type veth struct{ feeder }

func (v *veth) Info() efvi.Info {
	i := v.feeder.Info()
	i.PartialChecksum, i.TxChecksum = true, true
	return i
}

func (v *veth) SendSum(frame, off, n uint32, _, _ uint16) bool { return v.Send(frame, off, n) }

// echo makes the peer's next request: it acknowledges the last answer and brings size octets.
func (p *peer) request(size int) []byte {
	be := binary.BigEndian
	be.PutUint32(p.packet[seqAt:], p.seq)
	be.PutUint32(p.packet[seqAt+4:], p.ack)
	p.seq += uint32(size)
	return p.packet
}

// BenchmarkEcho is one end of a ping-pong: a request of an octet comes in, the program receives it and answers with as much. Nothing
// is summed; what a request costs the stack, then, and no part of it grows with its size.
func BenchmarkEcho(b *testing.B) {
	mem := memory()
	v := &veth{feeder{mem: mem}}
	p, poll, s := handshake(b, v, &v.feeder)
	p.packet = p.build(wire.ACK|wire.PSH, wire.TCPOptions{Set: wire.HasTimestamp, TSVal: 1, TSEcr: p.ts}, 1)
	pseudo := wire.PseudoSum(p.packet[wire.EthernetLen+12:tcpAt], wire.ProtoTCP, len(p.packet)-tcpAt)
	binary.BigEndian.PutUint16(p.packet[sumAt:], pseudo)
	buf := [][]byte{make([]byte, 64)}
	out := [][]byte{{1}}
	b.ReportAllocs()
	for b.Loop() {
		t := now()
		v.receive(p.request(1))
		poll(t)
		if n, _, err := s.Recv(t, buf, 0); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		if n, err := s.Send(t, out, 0); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		p.ack++
	}
	b.ReportMetric(float64(v.sent)/float64(b.N), "packets/op")
}

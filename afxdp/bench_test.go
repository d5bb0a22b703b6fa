package afxdp_test

import (
	"testing"
	"time"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// One frame there and back, both ends turning in one thread: two kicks and two passes through veth
// are what a ping-pong costs at least.
func BenchmarkPingPong(b *testing.B) {
	bed, server, client := joined(b, testbed.Config{Queues: 1})
	there, back := pair(bed)
	const slot = 0
	load(client, slot, there)
	load(server, slot, back)
	for b.Loop() {
		bounce(b, client, server, slot, len(there))
		bounce(b, server, client, slot, len(back))
	}
}

// A batch one way: what a frame costs when the kick is shared.
func BenchmarkBatch(b *testing.B) {
	bed, server, client := joined(b, testbed.Config{Queues: 1})
	packet, _ := pair(bed)
	const batch = 64
	for i := range batch {
		load(client, i, packet)
	}
	var ev [2 * batch]efvi.Event
	for b.Loop() {
		for i := range batch {
			client.VIs[0].Send(uint32(bedtest.Half+i), 0, uint32(len(packet)))
		}
		_ = client.VIs[0].Flush()
		for got, sent := 0, 0; got < batch || sent < batch; {
			sent += client.VIs[0].Poll(ev[:])
			got += drain(server, ev[:])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/frame")
}

func pair(bed *testbed.Bed) (there, back []byte) {
	p := to(bed, "x")
	there = p.Bytes()
	p.SrcMAC, p.DstMAC = p.DstMAC, p.SrcMAC
	return there, p.Bytes()
}

func load(p *bedtest.Port, slot int, packet []byte) {
	copy(p.Memory.Frame(uint32(bedtest.Half+slot)), packet)
}

// bounce sends one frame and waits for it at the other end.
func bounce(b *testing.B, from, to *bedtest.Port, slot, n int) {
	var ev [8]efvi.Event
	from.VIs[0].Send(uint32(bedtest.Half+slot), 0, uint32(n))
	_ = from.VIs[0].Flush()
	end := time.Now().Add(bedtest.CleanLimit)
	for turns := 0; drain(to, ev[:]) == 0; turns++ {
		if turns&0xffff == 0 && time.Now().After(end) {
			b.Fatal("no packet")
		}
	}
	from.VIs[0].Poll(ev[:])
}

// drain takes packets and posts their frames again.
func drain(p *bedtest.Port, ev []efvi.Event) (packets int) {
	var frame [1]uint32
	for _, e := range ev[:p.VIs[0].Poll(ev)] {
		if e.Kind == efvi.EventRX {
			frame[0] = e.Frame
			p.VIs[0].Post(frame[:])
			packets++
		}
	}
	return packets
}

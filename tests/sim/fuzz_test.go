package sim

import (
	"encoding/binary"
	"testing"

	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// FuzzInput feeds any bytes to a stack with a listener and an open connection. The input is a sequence of frames, each
// behind a two-byte header: its length, and which of its checksums to make right, so that the fuzzer gets past them.
// Whatever comes, the stack must not panic, must keep its frames, and a segment must not cost many of its own.
func FuzzInput(f *testing.F) {
	seedWorld := newWorld(f, config{seed: 1})
	for _, frame := range seedWorld.malformed() {
		f.Add(append([]byte{byte(len(frame)), 3}, frame...))
	}
	for _, flags := range []wire.Flags{wire.SYN, wire.ACK, wire.SYN | wire.ACK, wire.FIN | wire.ACK, wire.RST, wire.URG | wire.ACK} {
		for _, port := range []uint16{40000, 1234} {
			frame := seedWorld.frameFor(wire.TCPFields{SrcPort: port, DstPort: 80, Flags: flags, Window: 100,
				Options: &wire.TCPOptions{Set: wire.HasMSS | wire.HasTimestamp, NSACK: 1}}, []byte("data"))
			f.Add(append([]byte{byte(len(frame)), 3}, frame...))
		}
	}
	f.Fuzz(fuzzInput)
}

func fuzzInput(t *testing.T, in []byte) {
	w := newWorld(t, config{seed: 1, frames: 256})
	a, b := w.pair()
	h := w.host[1]
	for len(in) >= 2 {
		n, fix := min(int(in[0]), len(in)-2), in[1]
		frame := append([]byte(nil), in[2:2+n]...)
		in = in[2+n:]
		if fix&1 != 0 && len(frame) >= 34 {
			fixIP(frame)
		}
		if fix&2 != 0 && len(frame) >= 54 && frame[14] == 0x45 {
			end := min(14+int(binary.BigEndian.Uint16(frame[16:])), len(frame))
			if seg := frame[34:max(end, 34)]; len(seg) >= 20 {
				seg[16], seg[17] = 0, 0
				binary.BigEndian.PutUint16(seg[16:], ^wire.Add(wire.PseudoSum(frame[26:34], wire.ProtoTCP, len(seg)), wire.Sum(seg)))
			}
		}
		if fix&4 != 0 && len(frame) >= 54 { // numbers of the open connection, so that the window test is passed
			copy(frame[34:38], []byte{40000 >> 8, 40000 & 255, 0, 80})
		}
		h.nic.knife = int(fix >> 3) // several frames, anywhere in the headers too
		w.inject(frame)
		w.run(10 * ms)
		h.nic.knife = 0
	}
	w.run(second)
	a.Abort(w.now)
	b.Abort(w.now)
	for i, h := range w.host {
		if held := h.pool.Len() - h.pool.Free() - len(h.nic.posted); held < 0 || held > h.pool.Len() {
			t.Fatalf("host %d: %d frames held", i, held)
		}
	}
	if h.pool.Free()+len(h.nic.posted) != h.pool.Len() {
		h.Each(func(s *usock.Socket) { s.Abort(w.now) })
		w.run(200 * second)
		if h.pool.Free()+len(h.nic.posted) != h.pool.Len() {
			t.Fatalf("frames leaked: %d free, %d posted of %d", h.pool.Free(), len(h.nic.posted), h.pool.Len())
		}
	}
}

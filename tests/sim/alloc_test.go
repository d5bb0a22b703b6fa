package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/usock"
)

// exchange moves what both nics have sent to the other side without the world's heap, which allocates.
func (w *world) exchange() {
	for _, h := range w.host {
		n := h.nic
		for i := range n.pipe {
			p := &n.pipe[i]
			f := n.peer.posted[0]
			n.peer.posted = append(n.peer.posted[:0], n.peer.posted[1:]...)
			size := copy(n.peer.mem[f*efvi.FrameSize+64:(f+1)*efvi.FrameSize], p.data[:p.n])
			e := efvi.Event{Kind: efvi.EventRX, Frame: f, Off: 64, Len: uint32(size)}
			if p.goesOn {
				e.Kind = efvi.EventPart
			}
			n.peer.events = append(n.peer.events, e)
		}
		n.pipe = n.pipe[:0]
	}
}

// slot keeps one frame for exchange.
type slot struct {
	data   [4096]byte
	n      int
	goesOn bool
}

// direct makes both nics keep what they send for exchange.
func (w *world) direct() {
	for _, h := range w.host {
		h.nic.pipe = make([]slot, 0, 256)
	}
}

// turn is 100 µs of the world, all by exchange.
func (w *world) turn() {
	w.now += ms / 10
	for _, h := range w.host {
		h.Poll(w.now, 64)
	}
	w.exchange()
}

// TestSegmentsDoNotAllocate: a request and its answer over an open connection, with all that comes with them: receive,
// checksum, demux, TCP, ACK, timers, readiness, send.
func TestSegmentsDoNotAllocate(t *testing.T) {
	for _, c := range []struct{ size, mtu int }{{1, 1500}, {1000, 1500}, {20_000, 1500}, {20_000, 9000}} {
		size := c.size
		w := newWorld(t, config{seed: 9, mtu: c.mtu})
		a, b := w.pair()
		w.run(second)
		w.direct()
		buf := make([]byte, size)
		iov := [][]byte{buf}
		echo := func() {
			move(t, w, a, b, iov)
			move(t, w, b, a, iov)
		}
		for range 200 { // until buffers and windows have grown
			echo()
		}
		require.Zero(t, testing.AllocsPerRun(100, echo), "echo of %d bytes, MTU %d", size, c.mtu)
	}
}

// move sends iov from one end and reads it at the other.
func move(t testing.TB, w *world, from, to *usock.Socket, iov [][]byte) {
	size := len(iov[0])
	for sent, got := 0, 0; got < size; {
		if sent < size && from.Ready()&usock.PollOut != 0 {
			part := [1][]byte{iov[0][sent:]}
			iov2 = part
			n, err := from.Send(w.now, iov2[:], 0)
			if err != nil {
				t.Fatal(err)
			}
			sent += n
		}
		w.turn()
		if to.Ready()&usock.PollIn != 0 {
			n, _, err := to.Recv(w.now, iov, 0)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
}

var iov2 [1][]byte // reused, as the engine does

// TestDataSegmentAndItsACK: the receiver's whole work for one full segment.
func TestDataSegmentAndItsACK(t *testing.T) {
	w := newWorld(t, config{seed: 10})
	a, b := w.pair()
	w.run(second)
	w.direct()
	buf := make([]byte, 1448)
	iov := [][]byte{buf}
	for range 200 {
		move(t, w, a, b, iov)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { move(t, w, a, b, iov) }))
}

func BenchmarkDataSegmentAndACK(bm *testing.B) {
	w := newWorld(bm, config{seed: 11})
	a, b := w.pair()
	w.run(second)
	w.direct()
	buf := make([]byte, 1448)
	iov := [][]byte{buf}
	bm.ReportAllocs()
	bm.SetBytes(1448)
	for bm.Loop() {
		iov2[0] = buf
		if n, err := a.Send(w.now, iov2[:], 0); err != nil || n != len(buf) {
			bm.Fatal(n, err)
		}
		w.turn()
		w.turn()
		if n, _, err := b.Recv(w.now, iov, 0); err != nil || n != len(buf) {
			bm.Fatal(n, err)
		}
		w.turn()
	}
}

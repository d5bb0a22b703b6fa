package sim

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"slices"

	"github.com/sluice-net/sluice/efvi"
)

// Link is what one direction of the wire does to packets. The zero value is a perfect wire without delay.
type Link struct {
	Delay   int64   // ns one way
	Jitter  int64   // ns, added at random without changing the order unless Reorder says so
	Rate    int64   // bits per second, 0: no limit
	Queue   int     // packets the bottleneck holds, 0: no limit
	Loss    float64 // chance that a packet is lost
	Dup     float64 // chance that it arrives twice
	Reorder float64 // chance that it is held back by Hold
	Hold    int64   // ns
	Corrupt float64 // chance that a bit of it flips
	Cut     float64 // chance that its end is missing
	Pad     float64 // chance that bytes that mean nothing follow it, as on Ethernet
	Mark    float64 // chance that a router marks it Congestion Experienced instead of dropping it, RFC 3168 §5
}

// packet is one frame on the wire.
type packet struct {
	at   int64
	seq  uint64 // keeps the order of packets that arrive at the same time
	to   *nic
	data []byte
	seg  *segment   // what the watcher made of it when it was sent; nil: nobody watches, or it was damaged on the way
	also []*segment // of the packets that were joined to it
}

type wireHeap []packet

func (h wireHeap) Len() int { return len(h) }
func (h wireHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h wireHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *wireHeap) Push(x any)   { *h = append(*h, x.(packet)) }
func (h *wireHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	*h = old[:len(old)-1]
	return p
}

// nic is an efvi.VI whose wire is the world's heap of packets.
type nic struct {
	w      *world
	side   int
	info   efvi.Info
	mem    []byte
	peer   *nic
	link   Link // what happens to packets this nic sends
	free   int64
	last   int64
	inside []int64 // when packets leave the bottleneck

	posted []uint32
	events []efvi.Event
	tx     []efvi.Event
	narrow int // IP packets longer than that are dropped, 0: none
	tooBig func(frame []byte)
	pipe   []slot                        // not nil: what is sent waits here for exchange
	tap    func(now int64, frame []byte) // sees what is sent, before the link's faults
	stuck  bool                          // the transmit ring, of four frames now, does not move
	deaf   bool                          // what arrives is lost
	bursts int                           // segments that came in bursts
	intake func(data []byte)             // takes what arrives in the stack's place
	parts  bool                          // packets arrive in several frames
	joins  bool                          // packets that follow each other arrive as one
	knife  int                           // not 0: so does everything, cut behind as many times four bytes, and as many more
}

func (n *nic) Info() efvi.Info { return n.info }
func (n *nic) FD() int         { return -1 }
func (n *nic) Close() error    { return nil }

func (n *nic) Post(frames []uint32) int {
	took := min(len(frames), 256-len(n.posted))
	n.posted = append(n.posted, frames[:took]...)
	return took
}

func (n *nic) Poll(ev []efvi.Event) int {
	c := copy(ev, n.events)
	n.events = append(n.events[:0], n.events[c:]...)
	return c
}

func (n *nic) Send(frame, off, size uint32) bool {
	if len(n.tx) == 128 || n.stuck && len(n.tx) >= 4 {
		return false
	}
	n.tx = append(n.tx, efvi.Event{Kind: efvi.EventTX, Frame: frame, Off: off, Len: size})
	return true
}

// Gather is efvi.Gatherer.
func (n *nic) Gather(parts []efvi.Part, _, _ uint16) bool {
	if len(n.tx)+len(parts) > 128 || n.stuck {
		return false
	}
	for i, p := range parts {
		e := efvi.Event{Kind: efvi.EventPart, Frame: p.Frame, Off: p.Off, Len: p.N}
		if i == len(parts)-1 {
			e.Kind = efvi.EventTX
		}
		n.tx = append(n.tx, e)
	}
	return true
}

func (n *nic) Flush() error {
	if n.stuck {
		return nil
	}
	var whole []byte
	for _, t := range n.tx {
		if n.pipe != nil {
			n.pipe = append(n.pipe, slot{})
			p := &n.pipe[len(n.pipe)-1]
			p.goesOn = t.Kind == efvi.EventPart
			p.n = copy(p.data[:], n.mem[t.Frame*efvi.FrameSize+t.Off:][:t.Len])
			n.events = append(n.events, efvi.Event{Kind: efvi.EventTX, Frame: t.Frame})
			continue
		}
		n.events = append(n.events, efvi.Event{Kind: efvi.EventTX, Frame: t.Frame})
		data := append(whole, n.mem[t.Frame*efvi.FrameSize+t.Off:][:t.Len]...)
		if whole = data; t.Kind == efvi.EventPart {
			continue
		}
		whole = nil
		if n.tap != nil {
			n.tap(n.w.now, data)
		}
		n.transmit(data)
	}
	n.tx = n.tx[:0]
	return nil
}

// transmit puts a frame through the bottleneck and the faults.
func (n *nic) transmit(data []byte) {
	p := packet{to: n.peer, data: data}
	if n.w.watch != nil {
		p.seg = n.w.watch.sent(n.w.now, n.side, data)
	}
	if n.narrow > 0 && len(data) > n.narrow+14 {
		n.tooBig(data)
		return
	}
	l, r := &n.link, n.w.rng
	out, ok := n.bottleneck(len(data))
	if !ok || l.Loss > 0 && r.Float64() < l.Loss {
		n.w.dropped++
		return
	}
	p.at = out + l.Delay
	if l.Jitter > 0 {
		p.at += r.Int64N(l.Jitter)
	}
	p.at = max(p.at, n.last)
	n.last = p.at
	if l.Reorder > 0 && r.Float64() < l.Reorder {
		p.at += l.Hold
	}
	n.damage(&p)
	n.w.put(p)
	if l.Dup > 0 && r.Float64() < l.Dup {
		p.at, p.data = p.at+l.Hold, append([]byte(nil), p.data...)
		n.w.put(p)
	}
}

// bottleneck is when a packet of size bytes leaves the queue in front of the link; false: there was no room in it.
func (n *nic) bottleneck(size int) (out int64, ok bool) {
	l, now := &n.link, n.w.now
	if l.Rate <= 0 {
		return now, true
	}
	for len(n.inside) > 0 && n.inside[0] <= now {
		n.inside = n.inside[1:]
	}
	if l.Queue > 0 && len(n.inside) >= l.Queue {
		return 0, false
	}
	out = max(now, n.free) + int64(size+24)*8*1_000_000_000/l.Rate
	n.free = out
	n.inside = append(n.inside, out)
	return out, true
}

// damage does to a packet's bytes what the link does. One that has changed where a checksum would tell must not arrive.
func (n *nic) damage(p *packet) {
	l, r := &n.link, n.w.rng
	if l.Mark > 0 && r.Float64() < l.Mark {
		congested(p.data)
	}
	if l.Corrupt > 0 && r.Float64() < l.Corrupt {
		p.data[r.IntN(len(p.data))] ^= 1 << r.IntN(8)
		p.seg = n.w.reparse(p)
	}
	var whole packet
	if l.Cut > 0 && r.Float64() < l.Cut {
		whole = packet{data: slices.Clone(p.data), seg: p.seg}
		p.data, p.seg = p.data[:r.IntN(len(p.data))], nil
	}
	if l.Pad > 0 && r.Float64() < l.Pad {
		p.data = append(p.data, make([]byte, 1+r.IntN(18))...)
		if whole.data != nil && bytes.HasPrefix(p.data, whole.data) { // what was cut off were zeros, as an urgent pointer is
			p.seg = whole.seg
		}
	}
}

// arrive hands a frame to the receive ring; without a posted frame it is lost, as in a real device.
func (n *nic) arrive(p packet) {
	if n.intake != nil {
		if p.seg != nil {
			n.intake(p.data)
		}
		return
	}
	cuts := n.cuts(&p)
	if len(n.posted) < len(cuts) || n.deaf {
		n.w.dropped++
		return
	}
	if n.w.watch != nil && p.seg != nil {
		n.w.watch.arrived(n.w.now, n.side, p.seg)
		for _, s := range p.also {
			n.w.watch.arrived(n.w.now, n.side, s)
		}
	}
	for i, data := range cuts {
		e := efvi.Event{Kind: efvi.EventPart, Frame: n.posted[i], Off: headroom, Len: uint32(len(data))}
		if i == len(cuts)-1 {
			e.Kind = efvi.EventRX
		}
		copy(n.mem[e.Frame*efvi.FrameSize+headroom:(e.Frame+1)*efvi.FrameSize], data)
		n.events = append(n.events, e)
	}
	n.posted = append(n.posted[:0], n.posted[len(cuts):]...)
}

const headroom = 256

// cuts are the pieces of a packet as they come in frames: as much as a frame holds, or less, as of a device that takes headers apart.
func (n *nic) cuts(p *packet) (out [][]byte) {
	const most = efvi.FrameSize - headroom
	left, lot := p.data, int(p.seq*0x9e3779b97f4a7c15>>40)
	sizes := [...]int{14 + 60 + 60 + lot%400, lot % 1999} // the headers lie in the first one
	if n.knife > 0 {
		sizes = [...]int{4 * n.knife, n.knife}
	}
	if n.parts || n.knife > 0 {
		for _, size := range sizes {
			if len(left) <= size || len(left)-size > most*(efvi.MaxParts-1-len(out)) {
				break
			}
			out, left = append(out, left[:size]), left[size:]
		}
	}
	for ; len(left) > most; left = left[most:] {
		out = append(out, left[:most])
	}
	return append(out, left)
}

func (w *world) put(p packet) {
	w.seq++
	p.seq = w.seq
	heap.Push(&w.wire, p)
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }

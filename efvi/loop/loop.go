// Package loop joins two VIs back to back in memory: what one sends, the other receives. There is
// no device, no clock and no thread in it, so that a test of two stacks repeats exactly.
package loop

import "github.com/sluice-net/sluice/efvi"

// Config is how a pair is made. Every zero means the default.
type Config struct {
	Ring int       // entries of each ring, a power of two; default 512
	Info efvi.Info // of both ends; the second end's MAC address is this one plus one

	Clock func() uint64 // of both ends, for efvi.Timed; default: they have none
}

// Headroom is where in a frame received bytes begin, as the kernel does it for XDP.
const Headroom = 256

// VI is one end of the pair.
type VI struct {
	info    efvi.Info
	mem     efvi.Memory
	peer    *VI
	posted  queue[uint32]
	tx      queue[efvi.Event]
	clock   func() uint64
	whole   []byte // of a packet in several frames
	events  queue[efvi.Event]
	dropped uint64
}

var (
	_ efvi.VI       = (*VI)(nil)
	_ efvi.Gatherer = (*VI)(nil)
)

// New makes a pair over two memories, which may be the same one.
func New(a, b efvi.Memory, cfg Config) (*VI, *VI) {
	if cfg.Ring == 0 {
		cfg.Ring = 512
	}
	x, y := newVI(a, cfg), newVI(b, cfg)
	x.peer, y.peer = y, x
	y.info.MAC[5]++
	return x, y
}

func newVI(m efvi.Memory, cfg Config) *VI {
	return &VI{
		info: cfg.Info, mem: m, clock: cfg.Clock,
		posted: newQueue[uint32](cfg.Ring),
		tx:     newQueue[efvi.Event](cfg.Ring),
		// Every posted frame and every sent one may be an event.
		events: newQueue[efvi.Event](2 * cfg.Ring),
	}
}

// Info tells what the pair was made with.
func (v *VI) Info() efvi.Info { return v.info }

// Post gives empty frames to the receive side.
func (v *VI) Post(frames []uint32) int {
	for i, f := range frames {
		if !v.posted.push(f) {
			return i
		}
	}
	return len(frames)
}

// Poll takes what the peer flushed, and our own frames that it took.
func (v *VI) Poll(ev []efvi.Event) int {
	for i := range ev {
		e, ok := v.events.pop()
		if !ok {
			return i
		}
		ev[i] = e
	}
	return len(ev)
}

// Send queues one frame until Flush.
func (v *VI) Send(frame, off, n uint32) bool {
	return v.tx.push(efvi.Event{Kind: efvi.EventTX, Frame: frame, Off: off, Len: n})
}

// Gather is efvi.Gatherer, without checksums.
func (v *VI) Gather(parts []efvi.Part, _, _ uint16) bool {
	if v.tx.room() < len(parts) {
		return false
	}
	for i, p := range parts {
		e := efvi.Event{Kind: efvi.EventPart, Frame: p.Frame, Off: p.Off, Len: p.N}
		if i == len(parts)-1 {
			e.Kind = efvi.EventTX
		}
		v.tx.push(e)
	}
	return true
}

// Flush carries what is queued over to the peer. Without a posted frame at the peer a packet is
// lost, as on a wire. It returns efvi.ErrBusy when an event ring is full.
func (v *VI) Flush() error {
	for v.tx.len() > 0 {
		if v.events.full() || v.peer.events.full() {
			return efvi.ErrBusy
		}
		if v.early(v.tx.first()) {
			return nil
		}
		e, _ := v.tx.pop()
		v.stampSent(e)
		if v.whole = append(v.whole, v.mem.Data(e)...); e.Kind&^timed == efvi.EventTX {
			v.peer.receive(v.whole)
			v.whole = v.whole[:0]
		}
		v.events.push(efvi.Event{Kind: efvi.EventTX, Frame: e.Frame})
	}
	return nil
}

func (v *VI) receive(b []byte) {
	const most = efvi.FrameSize - Headroom
	parts := max((len(b)+most-1)/most, 1)
	if parts > efvi.MaxPartsIn || parts > v.posted.len() || parts > v.events.room() {
		v.dropped++
		return
	}
	for e := (efvi.Event{Kind: efvi.EventPart, Off: Headroom}); parts > 0; parts-- {
		if parts == 1 {
			e.Kind = efvi.EventRX
		}
		e.Frame, _ = v.posted.pop()
		e.Len = uint32(copy(v.mem.Frame(e.Frame)[Headroom:], b))
		b = b[e.Len:]
		v.stampReceived(e)
		v.events.push(e)
	}
}

// Dropped counts packets that found no posted frame here, or did not fit one.
func (v *VI) Dropped() uint64 { return v.dropped }

// FD is -1: there is nothing to wait for.
func (v *VI) FD() int { return -1 }

// Close does nothing.
func (v *VI) Close() error { return nil }

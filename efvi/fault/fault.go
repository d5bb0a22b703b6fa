// Package fault wraps a VI and does to received packets what a bad network does: it loses,
// duplicates, delays, reorders and damages them, by a seed, so that every run is the same.
//
// Only the receive side is touched. A frame that was sent may still be retransmitted by its owner,
// so it must stay as it is; wrap the other end to have faults in both directions.
package fault

import (
	"math/rand/v2"

	"github.com/sluice-net/sluice/efvi"
)

// Config says what goes wrong how often. Probabilities are between 0 and 1 and are drawn for each
// packet on its own. Times are in the units of Clock.
type Config struct {
	Seed    uint64
	Drop    float64
	Dup     float64
	Corrupt float64 // one bit of the packet, anywhere in its first frame
	Reorder float64 // the packet is held back by Hold more than others
	Delay   int64   // of every packet
	Jitter  int64   // at most that much more, evenly spread: with it, packets overtake each other
	Hold    int64   // default 3
	// Clock tells the time. Without one, every Poll is a tick of 1.
	Clock func() int64
}

// Counters says what was done, in packets.
type Counters struct{ Passed, Dropped, Duplicated, Corrupted, Reordered uint64 }

// VI is a VI with faults.
type VI struct {
	efvi.VI
	mem    efvi.Memory
	cfg    Config
	rng    *rand.Rand
	ticks  int64
	held   []held // by time due, then by arrival
	spares []uint32
	parts  []efvi.Event // of a packet whose end has not come
	n      Counters
}

// held is an event that has not been told yet.
type held struct {
	due int64
	ev  efvi.Event
}

const (
	maxHeld   = 4096 // events on the way; more wait in the wrapped VI
	maxSpares = 9    // frames kept to hold duplicates
	batch     = 64
)

var _ efvi.VI = (*VI)(nil)

// New wraps vi, whose frames lie in mem.
func New(vi efvi.VI, mem efvi.Memory, cfg Config) *VI {
	if cfg.Hold == 0 {
		cfg.Hold = 3
	}
	return &VI{
		VI: vi, mem: mem, cfg: cfg,
		rng:    rand.New(rand.NewPCG(cfg.Seed, 0x736c75696365)),
		held:   make([]held, 0, maxHeld+2*batch),
		spares: make([]uint32, 0, maxSpares),
		parts:  make([]efvi.Event, 0, efvi.MaxPartsIn),
	}
}

// Counters says what was done so far.
func (v *VI) Counters() Counters { return v.n }

// NextDeadline is when the next held packet is due by Clock, or 0 if none is held.
func (v *VI) NextDeadline() int64 {
	if len(v.held) == 0 {
		return 0
	}
	return v.held[0].due
}

// Post keeps a few frames for duplicates and passes the others on.
func (v *VI) Post(frames []uint32) int {
	kept := min(len(frames), maxSpares-len(v.spares))
	v.spares = append(v.spares, frames[:kept]...)
	return kept + v.VI.Post(frames[kept:])
}

// Poll tells the events that are due.
func (v *VI) Poll(ev []efvi.Event) int {
	now := v.now()
	var in [batch]efvi.Event
	for len(v.held) < maxHeld {
		n := v.VI.Poll(in[:])
		for _, e := range in[:n] {
			v.take(now, e)
		}
		if n < batch {
			break
		}
	}
	n := 0
	for n < len(ev) && n < len(v.held) && v.held[n].due <= now {
		ev[n] = v.held[n].ev
		n++
	}
	v.held = v.held[:copy(v.held, v.held[n:])]
	return n
}

func (v *VI) now() int64 {
	if v.cfg.Clock != nil {
		return v.cfg.Clock()
	}
	v.ticks++
	return v.ticks
}

// take decides about one event.
func (v *VI) take(now int64, e efvi.Event) {
	switch e.Kind {
	case efvi.EventRX, efvi.EventPart:
		if v.parts = append(v.parts, e); e.Kind == efvi.EventRX {
			v.packet(now, v.parts)
			v.parts = v.parts[:0]
		}
	default:
		v.hold(now, e)
	}
}

// packet decides about a packet, by the events that tell of it.
func (v *VI) packet(now int64, parts []efvi.Event) {
	if v.chance(v.cfg.Drop) {
		v.n.Dropped++
		for _, e := range parts {
			v.hold(now, efvi.Event{Kind: efvi.EventDiscard, Frame: e.Frame})
		}
		return
	}
	if v.chance(v.cfg.Dup) && len(v.spares) >= len(parts) {
		v.n.Duplicated++
		due := v.due(now)
		for _, e := range parts {
			v.hold(due, v.duplicate(e))
		}
	}
	if v.chance(v.cfg.Corrupt) && parts[0].Len > 0 {
		v.n.Corrupted++
		v.mem.Data(parts[0])[v.rng.IntN(int(parts[0].Len))] ^= 1 << v.rng.IntN(8)
	}
	due := v.due(now)
	if v.chance(v.cfg.Reorder) {
		v.n.Reordered++
		due += v.cfg.Hold
	}
	v.n.Passed++
	for _, e := range parts {
		v.hold(due, e)
	}
}

// chance draws even if p is 0, so that one fault more does not change where the others fall.
func (v *VI) chance(p float64) bool { return v.rng.Float64() < p }

func (v *VI) due(now int64) int64 {
	due := now + v.cfg.Delay
	if v.cfg.Jitter > 0 {
		due += v.rng.Int64N(v.cfg.Jitter + 1)
	}
	return due
}

// duplicate copies a packet to a spare frame.
func (v *VI) duplicate(e efvi.Event) efvi.Event {
	last := len(v.spares) - 1
	d := e
	d.Frame = v.spares[last]
	v.spares = v.spares[:last]
	copy(v.mem.Data(d), v.mem.Data(e))
	return d
}

// hold puts an event in its place by time; events of the same time keep their order.
func (v *VI) hold(due int64, e efvi.Event) {
	v.held = append(v.held, held{due: due, ev: e})
	for i := len(v.held) - 1; i > 0 && v.held[i-1].due > due; i-- {
		v.held[i], v.held[i-1] = v.held[i-1], v.held[i]
	}
}

package engine

import (
	"slices"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
)

// limbo are the queues that were given up: the broker still has their sockets, for a moment, and frames in their rings are not ours
// before those are closed. A program that listens and closes in turn gives queues up all the time: a quarter of all frames, each time.
type limbo []given

// given is one of them.
type given struct {
	ref    proto.QueueRef
	place  int // in the stack
	until  int64
	closed bool // the broker said so
}

// reclaimAfter is longer than a device needs to send what a closed socket left it, and than the broker needs to close it: so long frames stay
// out of use if nobody says more.
const reclaimAfter = int64(3 * time.Second)

func (l *limbo) add(ref proto.QueueRef, place int) {
	if place >= 0 {
		*l = append(*l, given{ref: ref, place: place, until: nanotime() + reclaimAfter})
	}
}

// next is when the first is over, 0 if there is none.
func (l limbo) next() int64 {
	if len(l) == 0 {
		return 0
	}
	return l[0].until
}

// reclaim ends those that are over.
func (e *Engine) reclaim(now int64) (n int) {
	for len(e.limbo) > 0 && now >= e.limbo[0].until {
		e.plane.stack.Reclaim(e.limbo[0].place, true)
		e.limbo = slices.Delete(e.limbo, 0, 1)
		n++
	}
	return n
}

// closed: what was posted to these queues is ours again.
func (e *Engine) closed(p *proto.Packet) error {
	var c proto.Closed
	if err := p.Into(&c); err != nil || e.plane == nil {
		return err
	}
	for _, ref := range c.Queues {
		// The first one: a queue may have come back and been given up again.
		if i := slices.IndexFunc(e.limbo, func(g given) bool { return g.ref == ref && !g.closed }); i >= 0 {
			e.limbo[i].closed = true
			e.plane.stack.Reclaim(e.limbo[i].place, false)
		}
	}
	return nil
}

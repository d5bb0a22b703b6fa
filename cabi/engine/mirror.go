package engine

import (
	"fmt"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi/mirror"
)

// tapped is a ring that all packets are shown in, for somebody who looks (`sluice tcpdump`).
type tapped struct {
	id   uint64
	ring *mirror.Writer
}

// tap begins or ends one.
func (e *Engine) tap(p *proto.Packet) error {
	var t proto.Tap
	if err := p.Into(&t); err != nil {
		return err
	}
	if t.Off {
		for i := range e.taps {
			if e.taps[i].id == t.Mirror {
				e.untap(i)
				break
			}
		}
		return nil
	}
	if len(p.FDs) != 1 {
		return fmt.Errorf("%d descriptors", len(p.FDs))
	}
	w, err := mirror.OpenWriter(p.FDs[0])
	if err != nil {
		return err
	}
	e.taps = append(e.taps, tapped{t.Mirror, w})
	e.retap()
	return nil
}

func (e *Engine) untap(i int) {
	w := e.taps[i].ring
	e.taps = append(e.taps[:i:i], e.taps[i+1:]...)
	e.retap()
	_ = w.Close()
}

// retap puts the queues behind what shows their packets, or (nobody looks) straight under the stack again.
func (e *Engine) retap() {
	e.revokeAll()
	if e.plane == nil {
		return
	}
	for _, l := range e.plane.lanes {
		e.tapLane(l)
	}
}

func (e *Engine) tapLane(l *lane) {
	if len(e.taps) == 0 {
		e.plane.stack.SwapVI(l.ref.Ifindex, l.ref.Queue, l.vi)
		return
	}
	to := make([]*mirror.Writer, len(e.taps))
	for i := range e.taps {
		to[i] = e.taps[i].ring
	}
	e.plane.stack.SwapVI(l.ref.Ifindex, l.ref.Queue, mirror.Wrap(l.vi, e.plane.mem, to, wallclock))
}

func wallclock() int64 { return time.Now().UnixNano() }

// untapAll: the broker is gone, and with it whoever looked.
func (e *Engine) untapAll() {
	for len(e.taps) > 0 {
		e.untap(0)
	}
}

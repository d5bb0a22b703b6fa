package interop

import (
	"math/rand/v2"

	"github.com/sluice-net/sluice/efvi"
)

// lossy loses some of the packets that are sent; efvi/fault loses those that are received.
type lossy struct {
	efvi.VI
	rng  *rand.Rand
	drop float64
	lost []uint32
}

func (l *lossy) Send(frame, off, n uint32) bool {
	if l.rng.Float64() < l.drop {
		l.lost = append(l.lost, frame)
		return true
	}
	return l.VI.Send(frame, off, n)
}

func (l *lossy) Poll(ev []efvi.Event) int {
	n := 0
	for n < len(ev) && len(l.lost) > 0 {
		last := len(l.lost) - 1
		ev[n] = efvi.Event{Kind: efvi.EventTX, Frame: l.lost[last]}
		l.lost = l.lost[:last]
		n++
	}
	return n + l.VI.Poll(ev[n:])
}

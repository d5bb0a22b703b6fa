package mirror

import (
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/watch"
)

// sink is all who look at one VI.
type sink struct {
	to             []*Writer
	ifindex, queue uint32
}

func (s *sink) Packet(now int64, dir watch.Direction, frame []byte) {
	for _, w := range s.to {
		w.Put(now, dir, s.ifindex, s.queue, frame)
	}
}

// Wrap shows the packets of vi, whose frames lie in mem, to all of to; see watch.Wrap.
func Wrap(vi efvi.VI, mem efvi.Memory, to []*Writer, clock func() int64) *watch.VI {
	i := vi.Info()
	return watch.Wrap(vi, mem, &sink{to, uint32(i.Ifindex), uint32(i.Queue)}, clock)
}

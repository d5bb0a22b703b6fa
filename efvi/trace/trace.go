// Package trace wraps a VI and writes what passes to a pcapng file, for tcpdump and Wireshark.
package trace

import (
	"io"

	"github.com/sluice-net/sluice/efvi"
)

// VI is a VI whose packets are written down.
type VI struct {
	efvi.VI
	mem   efvi.Memory
	out   *Writer
	clock func() int64
	in    efvi.Whole
}

var _ efvi.VI = (*VI)(nil)

// New wraps vi, whose frames lie in mem, and writes to w. clock tells the time in nanoseconds since
// 1970. Writing happens within Poll and Flush, one call a batch; after the first error nothing
// more is written, and the packets flow on (see Err).
func New(vi efvi.VI, mem efvi.Memory, w io.Writer, clock func() int64) *VI {
	return &VI{VI: vi, mem: mem, out: NewWriter(w, vi.Info().Device), clock: clock}
}

// Err is the error that ended the writing, if any.
func (v *VI) Err() error { return v.out.Err() }

// Poll notes the packets received.
func (v *VI) Poll(ev []efvi.Event) int {
	n := v.VI.Poll(ev)
	var now int64
	for _, e := range ev[:n] {
		p := v.in.Add(v.mem, e)
		if p == nil {
			continue
		}
		if now == 0 {
			now = v.clock()
		}
		v.out.Packet(now, Inbound, p)
	}
	v.out.Flush()
	return n
}

// Send notes a packet at the time it is queued.
func (v *VI) Send(frame, off, n uint32) bool {
	if !v.VI.Send(frame, off, n) {
		return false
	}
	v.out.Packet(v.clock(), Outbound, v.mem.Frame(frame)[off:off+n])
	return true
}

// Flush writes what was noted.
func (v *VI) Flush() error {
	v.out.Flush()
	return v.VI.Flush()
}

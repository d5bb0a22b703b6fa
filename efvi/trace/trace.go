// Package trace wraps a VI and writes what passes to a pcapng file, for tcpdump and Wireshark.
package trace

import (
	"io"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/watch"
)

// VI is a VI whose packets are written down.
type VI struct {
	*watch.VI
	out *Writer
}

var _ efvi.VI = (*VI)(nil)

// New wraps vi, whose frames lie in mem, and writes to w. clock tells the time in nanoseconds since
// 1970. Writing happens within Poll and Flush, one call a batch; after the first error nothing
// more is written, and the packets flow on (see Err).
func New(vi efvi.VI, mem efvi.Memory, w io.Writer, clock func() int64) *VI {
	out := NewWriter(w, vi.Info().Device)
	return &VI{watch.Wrap(vi, mem, out, clock), out}
}

// Err is the error that ended the writing, if any.
func (v *VI) Err() error { return v.out.Err() }

// Poll writes the packets received.
func (v *VI) Poll(ev []efvi.Event) int {
	n := v.VI.Poll(ev)
	v.out.Flush()
	return n
}

// Flush writes the packets that were queued.
func (v *VI) Flush() error {
	v.out.Flush()
	return v.VI.Flush()
}

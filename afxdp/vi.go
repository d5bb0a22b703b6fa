package afxdp

import (
	"errors"

	"github.com/sluice-net/sluice/efvi"
)

// VI moves packets through the mapped rings of a queue.
type VI struct {
	fd   int
	info efvi.Info
}

// Map maps the rings of the socket fd, which the VI takes over and closes.
func Map(fd int, l Layout, mem efvi.Memory, info efvi.Info) (*VI, error) {
	return nil, errors.ErrUnsupported
}

func (v *VI) Info() efvi.Info                { return v.info }
func (v *VI) Post(frames []uint32) int       { return 0 }
func (v *VI) Poll(ev []efvi.Event) int       { return 0 }
func (v *VI) Send(frame, off, n uint32) bool { return false }
func (v *VI) Flush() error                   { return nil }
func (v *VI) FD() int                        { return v.fd }
func (v *VI) Close() error                   { return nil }

// Stats are the socket's own counters (XDP_STATISTICS).
type Stats struct {
	RxDropped     uint64 // packets lost for want of room, or too large for a frame
	RxInvalid     uint64 // fill entries that named no frame
	TxInvalid     uint64 // TX descriptors the kernel refused
	RxRingFull    uint64
	FillRingEmpty uint64
	TxRingEmpty   uint64
}

// Stats asks the kernel for the socket's counters.
func (v *VI) Stats() (Stats, error) { return Stats{}, errors.ErrUnsupported }

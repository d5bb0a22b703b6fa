package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// BusyPoll is how a queue's calls drive the device instead of waiting for its interrupts (Documentation/networking/napi.rst). It needs
// CAP_NET_ADMIN, a driver whose XDP queues have NAPI identifiers, and to be of use the sysfs knobs napi_defer_hard_irqs and gro_flush_timeout
// of the device. The zero value leaves all to interrupts.
type BusyPoll struct {
	Usec   int // longest time a call polls, in microseconds
	Budget int // packets of one poll; 0: 64
}

// set asks for preferred busy polling. Without SO_PREFER_BUSY_POLL (Linux 5.11) there is none.
func (b BusyPoll) set(fd int) error {
	if b.Usec <= 0 {
		return nil
	}
	budget := b.Budget
	if budget <= 0 {
		budget = 64
	}
	for _, o := range []struct {
		name          string
		option, value int
	}{
		{"SO_PREFER_BUSY_POLL", unix.SO_PREFER_BUSY_POLL, 1},
		{"SO_BUSY_POLL", unix.SO_BUSY_POLL, b.Usec},
		{"SO_BUSY_POLL_BUDGET", unix.SO_BUSY_POLL_BUDGET, budget},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.option, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	return nil
}

package proto

import (
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long others may have the processor before who waits awake for a message goes to sleep: they need it, and who sleeps is woken before them,
// where one that gives way each time comes last. A processor that is idle, or has only who answers, gives it back at once.
const patience = 50 * time.Microsecond

// GiveWay lets others run who have something to do, and tells whether the wait may go on without sleep.
func GiveWay() bool {
	since := time.Now()
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	return time.Since(since) < patience
}

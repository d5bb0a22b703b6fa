package broker

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Pauses between attempts to make spurs, each twice the one before.
const (
	shortestSpurPause = 500 * time.Millisecond
	longestSpurPause  = time.Minute
)

// spursLater leaves a device without spurs for a while: what a host lacks now (memory, descriptors, a number of namespaces) it may have
// later. A kernel that has none will have none.
func (d *device) spursLater(err error) {
	if d.noSpurs != nil { // another of the same spurs
		return
	}
	d.noSpurs = err
	b := d.space.b
	if d.spurDelay == 0 {
		b.log.Infof("broker: %s: %v; of unrelated programs one is accelerated", d.Name, err)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return
	}
	d.spurDelay = min(max(2*d.spurDelay, shortestSpurPause), longestSpurPause)
	d.note(err)
	d.spurRetry = b.after(d.spurDelay, func() {
		if !d.closed {
			d.noSpurs = nil
			d.reconcile()
		}
	})
}

// spursWork ends the pauses, when all spurs of a server are there.
func (d *device) spursWork() {
	for _, q := range d.queues {
		if q.owner == nil {
			return
		}
	}
	d.trunk.spurDelay = 0
}

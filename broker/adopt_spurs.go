package broker

import (
	"errors"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// foundSpurs makes devices of the spurs that entries of an adopted XDP program lead to; their owners may still come.
func (d *device) foundSpurs() {
	l, ok := d.prog.(interface {
		Listeners() ([]steer.ListenerEntry, error)
		Connects() ([]steer.ConnectEntry, error)
	})
	if !ok || !d.prog.HasSpurs() {
		return
	}
	ways := map[steer.Way]bool{}
	listeners, err := l.Listeners()
	d.note(err)
	for _, e := range listeners {
		ways[e.On.Way] = true
	}
	connects, err := l.Connects()
	d.note(err)
	for _, e := range connects {
		ways[e.On.Way] = true
	}
	for way := range ways {
		if way.Spurs > 0 {
			d.newSpurs(way).adopted = true
		}
	}
}

// bankWith finds a queue of the device's, or of its spurs.
func (d *device) bankWith(queue int) (*device, *queue) {
	for _, o := range d.banks() {
		if q := o.at(queue); q != nil {
			return o, q
		}
	}
	return d, nil
}

// leadAdopted has packets go to a queue whose socket is shown by its owner.
func (d *device) leadAdopted(c *client, q *queue, fd int) error {
	if d.trunk == nil {
		// The map refuses a socket that is bound elsewhere no sooner than packets come; those are dropped, and only this program's are.
		return d.prog.SetQueue(q.index, fd)
	}
	if at, err := d.prog.EndsAt(q.index, fd); err != nil || !at {
		return errors.Join(refuse("adopt: spur %d of %s ends elsewhere", q.index, d.Name), err)
	}
	if d.private {
		d.join(c)
	} else if d.trunk.isMember(c) {
		d.trunk.leave(c)
		d.join(c)
	}
	return nil
}

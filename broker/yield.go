package broker

import (
	"errors"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
)

// yield asks an owner to give queues up. From now on the kernel gets their new SYNs, so the owner's last connections there can finish
// their handshakes and be handed over; then it closes the sockets and answers.
func (d *device) yield(c *client, qs []*queue) {
	var y proto.Yield
	for _, q := range qs {
		d.note(d.prog.SetQuiet(q.index, true))
		q.moving = true
		y.Queues = append(y.Queues, proto.QueueRef{Ifindex: d.Ifindex, Queue: q.index})
	}
	b := d.space.b
	b.log.Debugf("broker: %v: asked to yield %v of %s", c, y.Queues, d.Name)
	// The ask itself has no limit: an owner that answers late has closed the sockets all the same.
	late := b.after(b.cfg.YieldTimeout, func() { d.overdue(c, qs) })
	c.ask(proto.OpYield, y, nil, 0, func(_ *proto.Packet, err error) {
		late.Stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		d.yielded(c, qs, err)
	})
}

// closedPause is longer than a packet is on its way from the XDP program to a socket: a duplicate of one that is closed may be open for a
// moment, while another is opened beside it (device.open).
const closedPause = 5 * time.Millisecond

// yielded frees the queues, and gives them to whoever should have them by now.
func (d *device) yielded(c *client, qs []*queue, err error) {
	if errors.Is(err, errGone) || d.space.b.closed {
		return // its death has freed them
	}
	var gone []proto.QueueRef
	for _, q := range qs {
		if q.owner != c || !q.moving && !q.stuck {
			continue
		}
		if err != nil { // it says no
			d.stay(q)
			continue
		}
		d.vacate(q)
		gone = append(gone, proto.QueueRef{Ifindex: d.Ifindex, Queue: q.index})
	}
	if len(gone) > 0 {
		d.space.b.after(closedPause, func() { c.tell(proto.OpClosed, proto.Closed{Queues: gone}) })
	}
	if err != nil {
		d.space.b.log.Infof("broker: %s: queues stay: %v", d.Name, err)
	}
	d.reconcile()
}

// overdue leaves the queues where they are; the newcomer lives with what it has.
func (d *device) overdue(c *client, qs []*queue) {
	for _, q := range qs {
		if q.owner == c && q.moving {
			d.space.b.log.Infof("broker: %s queue %d stays with %v, which did not answer in %v", d.Name, q.index, c, d.space.b.cfg.YieldTimeout.Round(time.Millisecond))
			d.stay(q)
		}
	}
	d.reconcile()
}

func (d *device) stay(q *queue) {
	d.note(d.prog.SetQuiet(q.index, false))
	q.moving, q.stuck = false, true
}

package broker

import (
	"encoding/json"
	"time"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
)

// A queue takes packets when two things are so: the engine has frames posted (it says ready), and it listens at all that is on.
// Until then packets of the queue go to the kernel, which serves them by the listener that is still there. A packet sent to a queue
// without frames would be lost, and a lost SYN costs its sender a second.

// offer is a queue on its way to a client.
type offer struct {
	vi  proto.VI
	q   *queue
	xsk xsk
}

// maxOffer is how many queues fit in one message beside umem and state.
const maxOffer = proto.MaxFDs - 4

// offer tells the client of a queue: with the grant that is being made, else by an event.
func (c *client) offer(d *device, q *queue) {
	info, err := json.Marshal(efvi.Info{
		Device: d.Name, Ifindex: d.Ifindex, Queue: q.index, Queues: len(d.queues), MAC: d.MAC, MTU: d.largest(),
		ZeroCopy: q.xsk.Layout().ZeroCopy, Native: d.prog.Mode() == steer.Native, PartialChecksum: d.partialChecksum(), OwnChecksum: d.ownChecksum(),
	})
	if err != nil {
		return
	}
	o := offer{proto.VI{Ifindex: d.Ifindex, Queue: q.index, Info: info, Layout: encodeLayout(q.xsk)}, q, q.xsk}
	c.b.log.Infof("broker: %v: has queue %d of %s", c, q.index, d.Name)
	if c.collect != nil && len(*c.collect) < maxOffer {
		*c.collect = append(*c.collect, o)
		return
	}
	c.tell(proto.OpVIs, proto.VIs{VIs: []proto.VI{o.vi}}, o.xsk.FD())
}

// encodeLayout is a layout as messages have it.
func encodeLayout(x xsk) json.RawMessage {
	b, _ := json.Marshal(x.Layout()) // numbers only
	return b
}

// opReady notes that the engine is ready for a listener, for queues, or both.
func opReady(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Ready
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("ready: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.gone {
		return nil, nil, errGone
	}
	if l := c.listeners[r.Cookie]; l != nil {
		l.ready = true
	}
	for _, ref := range r.Queues {
		if q := c.queueOf(ref); q != nil {
			q.ready = true
		}
	}
	if c.space != nil {
		c.space.reconcile()
	}
	return nil, nil, nil
}

// queueOf finds a queue that the client owns.
func (c *client) queueOf(ref proto.QueueRef) *queue {
	if c.space == nil {
		return nil
	}
	d := c.space.devices[ref.Ifindex]
	if d == nil {
		return nil
	}
	for _, o := range d.banks() {
		if q := o.at(ref.Queue); q != nil && q.owner == c {
			return q
		}
	}
	return nil
}

// activate lets packets go to a queue once its owner is ready for all of them. An owner that was asked for it while it got ready may have sent
// a SYN by now: the answer is to come, and the queue stays quiet.
func (d *device) activate(q *queue) {
	if q.owner == nil || q.active || !q.ready || q.xsk.Layout().Unbound {
		return
	}
	for e := range d.entries {
		if !q.owner.readyFor(e.key) && !q.owner.mayHave(e.key) {
			return
		}
	}
	if err := d.lead(q); err != nil {
		d.note(err)
		d.again()
		return
	}
	if !q.moving {
		d.note(d.prog.SetQuiet(q.index, false))
	}
	q.active = true
	d.space.b.log.Debugf("broker: %s queue %d: packets go to %v", d.Name, q.index, q.owner)
}

// mayHave tells whether the client left the listener but may still have connections of it.
func (c *client) mayHave(k key) bool {
	left, listens := false, false
	for _, l := range c.listeners {
		if l.left && l.key == k {
			left = true
			// SYNs it has not looked at yet, and handshakes under way, stand in no table.
			if time.Since(l.leftAt) < lingerPause {
				return true
			}
		}
		listens = listens || !l.left
	}
	// Without any listener it is about to hand over all it has.
	return left && (!listens && len(c.flows)+len(c.leased) == 0 || c.connected(k))
}

// connected looks into the client's table for a connection of the listener.
func (c *client) connected(k key) (found bool) {
	if c.stateMap != nil {
		c.stateMap.Each(func(e proto.Entry) bool {
			found = k.covers(e.Local)
			return !found
		})
	}
	return found
}

// readyFor tells whether the client listens for the entry.
func (c *client) readyFor(k key) bool {
	for _, l := range c.listeners {
		if l.key == k && l.ready && !l.left {
			return true
		}
	}
	return false
}

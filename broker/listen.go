package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// Bounds of one client.
const (
	maxListeners = 256
	maxFlows     = 65536
	maxDevices   = 64
)

// opListen grants the connections of a kernel listener that the client shows.
func opListen(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Listen
	if err := p.Into(&r); err != nil || len(p.FDs) != 1 || len(r.Devices) > maxDevices {
		return nil, nil, refuse("listen: needs one listener and at most %d devices", maxDevices)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.enter(c)
	if err != nil {
		return nil, nil, err
	}
	l, err := inspectListener(p.FDs[0], s)
	if err != nil {
		return nil, nil, err
	}
	l.devices = r.Devices
	if c.forgetLeft(); len(c.listeners) >= maxListeners {
		return nil, nil, refuse("more than %d listeners", maxListeners)
	}
	if b.drains {
		return nil, nil, errStops
	}
	devs, notes, err := s.devicesFor(l.key, r.Devices, c.mayListen(l.key))
	if err != nil {
		return nil, nil, err
	}
	return b.grant(c, l.cookie, notes, func() {
		c.listeners[l.cookie] = l
		c.ports[addrPort(l.key)] = true
		c.listenedAt = time.Now()
		c.noteListeners()
		for i, d := range devs {
			devs[i] = d.enroll(c)
			devs[i].sendAway(c)
		}
		b.log.Infof("broker: %v: listens on %v", c, l.key)
		b.deliverHeld(c, l)
	}, devs)
}

// enter checks that the client lives and finds its namespace.
func (b *Broker) enter(c *client) (*space, error) {
	if c.gone || b.closed {
		return nil, errGone
	}
	return b.spaceOf(c)
}

// devicesFor attaches to the devices that an address is served on; no error if there is at least one. may is the policy's word on each.
func (s *space) devicesFor(k key, allowed []string, may func(device string) error) (devs []*device, notes []string, err error) {
	all, err := s.netDevices()
	if err != nil {
		return nil, nil, err
	}
	use, notes := choose(all, k, allowed)
	for _, n := range use {
		if err := may(n.Name); err != nil {
			notes = append(notes, err.Error())
			continue
		}
		d, err := s.deviceOf(n)
		if err != nil {
			notes = append(notes, err.Error())
			continue
		}
		if d.prog.Mode() != steer.Native && n.Kind != "veth" { // there it was chosen
			notes = append(notes, n.Name+": "+string(d.prog.Mode())+" XDP")
		}
		devs = append(devs, d)
	}
	if len(devs) == 0 {
		return nil, nil, because(notes)
	}
	return devs, notes, nil
}

// grant does what join says and makes the reply: whatever queues the client gets at once go with it.
func (b *Broker) grant(c *client, cookie uint64, notes []string, join func(), devs []*device) (any, []int, error) {
	if err := c.giveMemory(); err != nil {
		for _, d := range devs {
			d.reap()
		}
		return nil, nil, err
	}
	var offers []offer
	c.collect = &offers
	join()
	for _, d := range devs {
		d.reconcile()
	}
	c.collect = nil
	c.unmap()
	if c.gone {
		return nil, nil, errGone
	}
	g := proto.Grant{Lease: c.lease, Cookie: cookie, Notes: notes}
	var fds []int
	if !c.sentMem {
		g.Memory, g.Size, g.Secret = true, int64(c.frames)*frameSize, b.secretOf(c)
		fds = append(fds, int(c.umem.Fd()), int(c.state.Fd()))
		c.sentMem = true
	}
	for _, o := range offers {
		if o.q.xsk != o.xsk { // join waited, and it was taken from it
			continue
		}
		g.VIs = append(g.VIs, o.vi)
		fds = append(fds, o.xsk.FD())
	}
	for _, d := range devs {
		if n, _ := d.owns(c); n == 0 && !d.dead {
			g.Notes = append(g.Notes, d.whyNone(c))
		}
	}
	dups, err := dupAll(fds)
	return g, dups, err
}

// whyNone says why a client has no queue of the device now.
func (d *device) whyNone(c *client) string {
	owners := d.owners()
	switch {
	case d.unfit != "":
		return d.Name + ": " + d.unfit
	case len(owners) == 0:
		return d.Name + ": no queue can be had now"
	case d.share > 0 && slices.Contains(d.eligible(), c):
		return fmt.Sprintf("%s: more processes listen than it has queues; the kernel gets %d %% of the connections for those without one", d.Name, int(d.share)*100/256)
	case slices.Contains(d.eligible(), c):
		return d.Name + ": waits for a queue of " + owners[0].String()
	default:
		return d.Name + ": queues belong to " + owners[0].String() + ", which listens elsewhere"
	}
}

// opUnlisten ends a listener. Connections of it may go on: its entry stays until they are gone or handed over.
func opUnlisten(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Unlisten
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("unlisten: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := c.listeners[r.Cookie]
	if l == nil || c.gone {
		return nil, nil, refuse("unlisten: no such listener")
	}
	b.log.Infof("broker: %v: listens no more on %v", c, l.key)
	if r.Stays && c.mayRest() {
		c.rest(l)
	} else {
		c.unlisten(l)
	}
	return nil, nil, nil
}

// settleMembership ends memberships that nothing needs any more, and brings the devices in order.
func (c *client) settleMembership() {
	if c.space == nil {
		return
	}
	for _, d := range c.space.all() {
		if len(d.keysOf(c)) == 0 && !d.hasFlows(c) {
			d.leave(c)
		}
		d.reconcile()
	}
	c.forgetLeft()
}

// forgetLeft drops listeners that were left and have no connection any more.
func (c *client) forgetLeft() {
	for cookie, l := range c.listeners {
		if l.left && (!c.hasQueues() || !c.mayHave(l.key)) {
			delete(c.listeners, cookie)
			c.remember(l)
		}
	}
}

// remember keeps a left listener's name: a last connection of it may still be passed on.
func (c *client) remember(l *listener) {
	if len(c.past) >= maxListeners {
		clear(c.past)
	}
	c.past[l.cookie] = l
}

func (c *client) hasQueues() bool {
	if c.space == nil {
		return false
	}
	for _, d := range c.space.all() {
		if n, _ := d.owns(c); n > 0 {
			return true
		}
	}
	return false
}

// lingering looks again, a second later, at entries that only old connections keep.
func (b *Broker) lingering() {
	if b.linger != nil {
		return
	}
	b.linger = b.after(lingerPause, func() {
		b.linger = nil
		for _, s := range b.spaces {
			s.reconcile()
		}
	})
}

package broker

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// opConnect steers one flow to the client. The flow's packets may come by any queue of the device, so the client needs them all, or a rule of
// the card's that leads them to one of hidden queues (aim.go), or a spur of its own (private.go); else the kernel connects.
func opConnect(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Connect
	if err := p.Into(&r); err != nil || len(p.FDs) != 1 || len(r.Devices) > maxDevices {
		return nil, nil, refuse("connect: needs one bound socket and at most %d devices", maxDevices)
	}
	t := steer.Tuple{Local: unmap(r.Local), Remote: unmap(r.Remote)}
	if !t.Local.IsValid() || !t.Remote.IsValid() || t.Local.Addr().IsUnspecified() || t.Local.Port() == 0 || t.Remote.Port() == 0 {
		return nil, nil, refuse("connect: both ends must be given")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.enter(c)
	if err != nil {
		return nil, nil, err
	}
	if err := holdsPort(p.FDs[0], s, t.Local); err != nil {
		return nil, nil, err
	}
	if len(c.flows) >= maxFlows {
		return nil, nil, refuse("connect: more than %d flows", maxFlows)
	}
	if b.drains {
		return nil, nil, errStops
	}
	return b.patiently(c, func(until time.Time) (any, []int, error) { return b.steerFlow(c, s, t, r.Devices, until) })
}

// connectPatience is how long a connect waits for queues: the socket of a program that just ended is closed by the kernel in its own time.
const connectPatience = 500 * time.Millisecond

var (
	errNoQueue = errors.New("no queue can be had now")
	errTaken   = errors.New("others have its queues")
)

// steerFlow leads the packets of one flow to the client.
func (b *Broker) steerFlow(c *client, s *space, t steer.Tuple, allowed []string, until time.Time) (any, []int, error) {
	devs, notes, err := s.devicesFor(key{ip: t.Local.Addr(), port: t.Local.Port()}, allowed, c.mayConnect)
	if err != nil {
		return nil, nil, err
	}
	d := devs[0].outgoing(c)
	for _, other := range d.banks() {
		if o := other.flows[t]; o != nil && o != c {
			return nil, nil, refuse("connect: the flow belongs to %v", o)
		}
	}
	return b.grantFor(c, d, notes, until, func(d *device) error {
		if err := d.aim(c, filterOf(t)); err != nil {
			return err
		}
		if err := d.setConnect(t); err != nil {
			d.unaim(filterOf(t))
			return err
		}
		d.flows[t], c.flows[t] = c, d
		c.ports[t.Local] = true
		return nil
	})
}

// grantFor grants the queues of a device by which answers to what the client connects to may come, and has them steered there; or nothing
// that the client did not have. It may take until then.
func (b *Broker) grantFor(c *client, d *device, notes []string, until time.Time, steer func(*device) error) (any, []int, error) {
	body, fds, err := b.grantOn(c, d, notes, until, steer)
	if errors.Is(err, errTaken) {
		if own := d.aside(c); own != nil {
			return b.grantOn(c, own, notes, until, steer)
		}
	}
	return body, fds, err
}

func (b *Broker) grantOn(c *client, d *device, notes []string, until time.Time, steer func(*device) error) (any, []int, error) {
	n, all := d.owns(c)
	if owners := d.owners(); d.hidden == nil && !all && (n > 0 || len(owners) > 0) {
		if d.sendAway(c); !d.contested(c) {
			d.reconcile()
			return nil, nil, refuse("connect: %s: %w", d.Name, errNoQueue)
		}
		return nil, nil, refuse("connect: %s: %w: %v", d.Name, errTaken, owners[0])
	}
	sent, had := c.sentMem, d.queuesOf(c)
	body, fds, err := b.grant(c, 0, notes, func() { d.join(c); d.gather(c, until) }, []*device{d})
	if err != nil {
		return nil, nil, err
	}
	if err = d.getsAnswers(c); err == nil {
		if err = steer(d); err == nil {
			return body, fds, nil
		}
	}
	closeAll(fds)
	c.sentMem = sent
	for _, q := range d.queuesOf(c) {
		if !slices.Contains(had, q) { // the engine never heard of it
			d.free(q)
		}
	}
	for _, o := range d.banks() { // where no spur can be made it waits at the device
		if len(o.keysOf(c)) == 0 && !o.hasFlows(c) {
			o.leave(c)
		}
	}
	d.reconcile()
	return nil, nil, err
}

// gather waits for the queues that the client lacks, under the lock but for the pauses. It keeps those that it has: the kernel closes sockets in its own time, and who
// gives its queues back to try again meets those that it had itself. Nobody is sent away meanwhile, so that others need not wait for what this one holds.
func (d *device) gather(c *client, until time.Time) {
	for {
		d.reconcile()
		if !errors.Is(d.getsAnswers(c), errNoQueue) || !d.isMember(c) || d.contested(c) || time.Now().After(until) || !d.space.b.waits(c) {
			return
		}
	}
}

func (d *device) queuesOf(c *client) (out []*queue) {
	for _, q := range d.queues {
		if q.owner == c {
			out = append(out, q)
		}
	}
	return out
}

// getsAnswers says why answers to a client's connections may go astray, nil if they do not.
func (d *device) getsAnswers(c *client) error {
	if _, all := d.owns(c); all || d.outlet(c) != nil {
		return nil
	}
	if owners := d.owners(); d.hidden != nil && len(owners) > 0 && !slices.Contains(d.eligible(), c) {
		if d.sendAway(c); d.contested(c) {
			return refuse("connect: %s: %w: %v, which has other business", d.Name, errTaken, owners[0])
		}
	}
	return refuse("connect: %s: %w", d.Name, errNoQueue)
}

// holdsPort checks that the socket is bound to the port.
func holdsPort(fd int, s *space, local netip.AddrPort) error {
	if err := inspectTCP(fd, s); err != nil {
		return err
	}
	bound, _, err := boundTo(fd)
	if err != nil {
		return err
	}
	bound = unmap(bound)
	if bound.Port() != local.Port() || !bound.Addr().IsUnspecified() && bound.Addr() != local.Addr() {
		return refuse("connect: the socket is bound to %v, not %v", bound, local)
	}
	return nil
}

func opDisconnect(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Disconnect
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("disconnect: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := steer.Tuple{Local: unmap(r.Local), Remote: unmap(r.Remote)}
	d := c.flows[t]
	if d == nil {
		return nil, nil, refuse("disconnect: no such flow")
	}
	c.dropFlow(t, d)
	if len(c.flows) == 0 { // not at once: the next one would wait for queues again
		b.after(b.cfg.Hold, func() {
			if !c.gone && len(c.flows) == 0 {
				c.settleMembership()
			}
		})
	}
	return nil, nil, nil
}

func (c *client) dropFlow(t steer.Tuple, d *device) {
	d.delConnect(t)
	d.unaim(filterOf(t))
	delete(d.flows, t)
	delete(c.flows, t)
}

func (d *device) hasFlows(c *client) bool {
	for _, o := range c.flows {
		if o == d {
			return true
		}
	}
	for _, o := range c.leased {
		if o == d {
			return true
		}
	}
	return false
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

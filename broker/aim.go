package broker

import (
	"net/netip"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
)

// No packet of the kernel's hash reaches hidden queues, answers to what a program connects to neither. So before the SYN leaves there is a
// rule for the connection, or for the leased port, which leads to one of the program's queues: its outlet. That queue stays with the program
// as long as there is such a rule. A card that takes no more rules leaves the connection to the kernel.

// filterOf is a connection's.
func filterOf(t steer.Tuple) efvi.FilterSpec { return efvi.IPFull(efvi.TCP, t.Local, t.Remote) }

// filtersOf are those of leased ports.
func filtersOf(ports []netip.AddrPort) (out []efvi.FilterSpec) {
	for _, a := range ports {
		out = append(out, efvi.IPLocal(efvi.TCP, a))
	}
	return out
}

// aim leads what the filters match to the client's outlet, where queues are hidden.
func (d *device) aim(c *client, specs ...efvi.FilterSpec) error {
	if d.hidden == nil {
		return nil
	}
	d.resume(c, specs[0])
	q := d.outlet(c)
	if q == nil {
		return refuse("connect: %s: %w", d.Name, errNoQueue)
	}
	if err := d.hidden.Aim(specs, q.index); err != nil {
		return refuse("connect: %s: %w", d.Name, err)
	}
	return nil
}

// unaim ends the filters' rules.
func (d *device) unaim(specs ...efvi.FilterSpec) {
	if d.hidden == nil {
		return
	}
	for _, s := range specs {
		d.note(d.hidden.Unsteer(s))
	}
}

// outlet is the client's queue that answers are led to; nil: it has none that stays.
func (d *device) outlet(c *client) *queue {
	if d.hidden == nil {
		return nil
	}
	if q := d.outlets[c]; q != nil && q.owner == c && !q.moving {
		return q
	}
	for _, q := range d.queues {
		if q.owner == c && !q.moving && d.isMember(c) {
			d.outlets[c] = q
			return q
		}
	}
	return nil
}

// resume takes for an outlet what was one before a restart of the broker: its connections live.
func (d *device) resume(c *client, s efvi.FilterSpec) {
	if d.outlets[c] != nil {
		return
	}
	if at, ok := d.hidden.Led(s); ok {
		if q := d.at(at); q != nil && q.owner == c {
			d.outlets[c] = q
		}
	}
}

// isOutlet: rules lead to the queue.
func (d *device) isOutlet(q *queue) bool {
	return q.owner != nil && d.outlets[q.owner] == q && d.hasFlows(q.owner)
}

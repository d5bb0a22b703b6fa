package broker

import (
	"slices"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// setEntries turns listener entries on and off.
func (d *device) setEntries() {
	owners := d.owners()
	want := map[key]bool{}
	for _, c := range d.members {
		for _, l := range c.listeners {
			if d.serves(l) && d.wanted(l.key, owners) {
				want[l.key] = true
			}
		}
	}
	for k := range want {
		there := d.has(k)
		d.setEntry(k, steer.Listens.KernelShare(d.share))
		if !there {
			d.steer(k)
		}
	}
	for k := range d.entries {
		switch {
		case want[k]:
		case !d.lingers(k, owners):
			d.unsteer(k)
			d.note(d.prog.DelListener(k.ip, k.port))
			delete(d.entries, k)
		default: // its connections go on; new ones are for whoever listens there now
			d.setEntry(k, steer.NoSYN)
		}
	}
	for _, q := range d.queues {
		d.activate(q)
	}
}

// setEntry makes the entry what it should be.
func (d *device) setEntry(k key, f steer.Flags) {
	if now, there := d.entries[k]; there && now == f {
		return
	}
	d.note(d.prog.SetListener(k.ip, k.port, f))
	d.entries[k] = f
}

// has tells of an entry, also of one that only old connections keep.
func (d *device) has(k key) bool {
	_, there := d.entries[k]
	return there
}

// wanted: there are owners, and all whose queues take packets are ready for it. One that is on stays on while any owner holds it.
func (d *device) wanted(k key, owners []*client) bool {
	holders, missing := 0, false
	for _, c := range owners {
		if c.readyFor(k) {
			holders++
		} else if d.takesPackets(c) {
			missing = true
		}
	}
	return holders > 0 && (!missing || d.has(k))
}

func (d *device) takesPackets(c *client) bool {
	return slices.ContainsFunc(d.queues, func(q *queue) bool { return q.owner == c && q.active })
}

// lingers: nobody listens any more, but an owner still has, or is about to hand over, connections of it.
func (d *device) lingers(k key, owners []*client) bool {
	for _, c := range owners {
		if c.mayHave(k) {
			d.space.b.lingering()
			return true
		}
	}
	return false
}

package broker

import (
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// entry names a listener entry of the XDP program.
type entry struct {
	vlan uint16 // 0: not tagged
	key
}

func (e entry) String() string {
	if e.vlan == 0 {
		return e.key.String()
	}
	return e.key.String() + " vlan " + strconv.Itoa(int(e.vlan))
}

// mark is what such an entry says.
type mark struct {
	ifindex int // of the VLAN device
	flags   steer.Flags
}

// setEntries turns listener entries on and off, and tells whether one is on now that was not.
func (d *device) setEntries() (news bool) {
	owners := d.owners()
	want := d.wantedEntries(owners)
	for e, ifindex := range want {
		there := d.has(e.key)
		d.setEntry(e, mark{ifindex, steer.Listens.KernelShare(d.share)})
		if !there {
			news = true
			d.steer(e.key)
		}
	}
	for e, m := range d.entries {
		_, wanted := want[e]
		switch {
		case wanted:
		case !d.lingers(e.key, owners):
			d.note(d.prog.DelListener(steer.Link{VLAN: e.vlan}, e.ip, e.port))
			if delete(d.entries, e); !d.has(e.key) {
				d.unsteer(e.key)
			}
		default: // its connections go on; new ones are for whoever listens there now
			d.setEntry(e, mark{m.ifindex, steer.NoSYN})
		}
	}
	for _, q := range d.queues {
		d.activate(q)
	}
	return news
}

// wantedEntries are those that should be on, each with the number of its VLAN device.
func (d *device) wantedEntries(owners []*client) map[entry]int {
	want := map[entry]int{}
	if d.private {
		return want
	}
	for _, c := range d.members {
		for _, l := range c.listeners {
			on := d.on(l.key, l.devices)
			if len(on) == 0 || !d.wanted(l.key, owners) || d.takenElsewhere(l.key) {
				continue
			}
			for _, link := range on {
				want[entry{link.VLAN, l.key}] = link.Ifindex
			}
		}
	}
	return want
}

// setEntry makes the entry what it should be.
func (d *device) setEntry(e entry, m mark) {
	if now, there := d.entries[e]; there && now == m {
		return
	}
	d.note(d.prog.SetListener(steer.Link{VLAN: e.vlan, Ifindex: m.ifindex}, e.ip, e.port, m.flags))
	d.entries[e] = m
}

// has tells of an entry, also of one that only old connections keep.
func (d *device) has(k key) bool {
	_, there := d.entries[entry{0, k}]
	return there || slices.ContainsFunc(d.vlans, func(id uint16) bool {
		_, there := d.entries[entry{id, k}]
		return there
	})
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

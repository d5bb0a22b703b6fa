package broker

import (
	"slices"
	"time"
)

// Who is still to come after a broker's death can be told: packets are led to the sockets of those who had queues, as long as these live. When
// all of them are shown again nothing on the device is anybody else's, and it is divided as ever before the grace is over. What else
// the grace is for goes on: a flow is nobody's for certain only after it (opStray).

// lookForOwners is how often that is looked at.
const lookForOwners = 50 * time.Millisecond

// lookAgainForOwners ends the wait at devices whose owners are all back, until the grace is over.
func (b *Broker) lookAgainForOwners() {
	if b.grace == nil {
		return
	}
	for _, s := range b.spaces {
		for _, d := range s.devices {
			if d.adopted && d.allBack() {
				b.log.Infof("broker: %s: all who had queues are back", d.Name)
				d.divideAgain()
			}
		}
	}
	b.after(lookForOwners, b.lookAgainForOwners)
}

// allBack tells whether each socket of the device's queues and spurs was shown, and the ports that their owners said would follow.
func (d *device) allBack() bool {
	for c := range d.space.b.clients {
		if c.space == d.space && c.blocks > 0 {
			return false
		}
	}
	var missing []int
	for _, o := range d.banks() {
		for _, q := range o.queues {
			if q.owner == nil {
				missing = append(missing, q.index)
			}
		}
	}
	led, err := d.prog.Leads(missing)
	d.note(err)
	return err == nil && !slices.Contains(led, true)
}

// divideAgain removes what nobody showed, and divides what is there.
func (d *device) divideAgain() {
	found := slices.DeleteFunc(d.banks(), func(o *device) bool { return !o.adopted })
	for _, o := range found {
		o.adopted = false
	}
	for _, o := range found {
		o.prune()
	}
	for _, o := range found {
		o.reconcile()
	}
}

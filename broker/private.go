package broker

import (
	"net/netip"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// Answers to what a program connects to may come by any queue of the device. Where others have those, the program gets a spur of its own: the XDP
// program leads the packets of its flows and leased ports there, whichever queue they come by, hidden or not. No listener's packets do, so it is
// beside whatever queues the program has as one that listens, and nobody else's ever.

// firstPrivate is the number of the first spur of this kind: the upper half, so that a broker that adopts spurs knows whose they are.
const firstPrivate = steer.FirstSpur + steer.MaxSpurs/2

// outgoing is where the connections that a process makes come.
func (d *device) outgoing(c *client) *device {
	for _, o := range d.banks() {
		if o.private && o.isMember(c) {
			return o
		}
	}
	return d.bank(c)
}

// outgoingBy finds that among the queues that a process showed after a restart of the broker, nil if there is none for the address.
func (s *space) outgoingBy(c *client, local netip.AddrPort) (found *device) {
	for _, d := range s.all() {
		if n, _ := d.owns(c); n > 0 && len(d.on(key{local.Addr(), local.Port()}, nil)) > 0 && (found == nil || d.private) {
			found = d
		}
	}
	return found
}

// aside is a spur for the connections of a process where others have the queues; nil if it can't have one. One that listens on the device gets
// none: its connections are made by the kernel.
func (d *device) aside(c *client) *device {
	if !d.maySpread() || len(d.keysOf(c)) > 0 {
		return nil
	}
	if s := d.idleSpurs(true); s != nil {
		return s
	}
	way := steer.Way{First: firstPrivate, Spurs: 1}
	for d.spurAt(way.First) {
		way.First++
	}
	if way.First >= steer.FirstSpur+steer.MaxSpurs {
		return nil
	}
	d.space.b.log.Infof("broker: %v: connects where others have the queues of %s, and gets a spur of it", c, d.Name)
	return d.newSpurs(way)
}

func (d *device) spurAt(number int) bool {
	_, q := d.bankWith(number)
	return q != nil
}

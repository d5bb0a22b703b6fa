package broker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-net/sluice/afxdp/spur"
	"github.com/sluice-net/sluice/afxdp/steer"
)

// The queues of a device are one server's, whose processes listen alike. Programs that have nothing to do with that server get spurs (package
// spur): queues behind the device, which the XDP program leads their packets to, from whichever queue those come by. The spurs of one
// server are to the broker a device of their own, with queues to divide among its processes; only the XDP program is the same.
//
//	            ┌─ queue 0 … n-1 ─► processes of the first server
//	eth0 ─ XDP ─┼─ spurs 768 … ───► processes of another
//	            └─ kernel

// spurPause is how long a process must have shown no further listener before it is taken for a stranger: workers show theirs one by one,
// and the next may be one that a server here has.
const spurPause = 300 * time.Millisecond

// mostSpurs bounds those of one server. Each process that serves takes a part of them.
const mostSpurs = 16

// entrance is what the socket at the end of a spur has: where its packets are to be redirected to.
type entrance interface{ Entrance() (ns, ifindex int) }

// byWay is the XDP program of a device, with entries that lead to some spurs.
type byWay struct {
	program
	way steer.Way
}

func (p *byWay) SetListener(on steer.Link, ip netip.Addr, port uint16, flags steer.Flags) error {
	on.Way = p.way
	return p.program.SetListener(on, ip, port, flags)
}

func (p *byWay) SetPorts(on steer.Link, ip netip.Addr, ports []uint16) error {
	on.Way = p.way
	return p.program.SetPorts(on, ip, ports)
}

func (p *byWay) SetConnect(on steer.Link, t steer.Tuple) error {
	on.Way = p.way
	return p.program.SetConnect(on, t)
}

func (p *byWay) SetTaken(on steer.Link, t steer.Tuple) error {
	on.Way = p.way
	return p.program.SetTaken(on, t)
}

// Close and Counters are the trunk's.
func (p *byWay) Close() error                         { return nil }
func (p *byWay) Counters() (map[string]uint64, error) { return nil, nil }

// newSpurs makes a device of spurs: without queues as yet, which are opened like any.
func (d *device) newSpurs(way steer.Way) *device {
	s := bareDevice(d.space, d.netDevice, &byWay{d.prog, way})
	s.trunk, s.private = d, way.First >= firstPrivate
	for i := range way.Spurs {
		s.queues = append(s.queues, &queue{index: way.First + i})
	}
	d.spurs = append(d.spurs, s)
	return s
}

// freeWay finds the first numbers that no spur has, false if there are not enough.
func (d *device) freeWay(n int) (way steer.Way, ok bool) {
	slices.SortFunc(d.spurs, func(a, b *device) int { return a.queues[0].index - b.queues[0].index })
	way = steer.Way{First: steer.FirstSpur, Spurs: n}
	for _, s := range d.spurs {
		if o := s.prog.(*byWay).way; way.First < o.First+o.Spurs && o.First < way.First+n {
			way.First = o.First + o.Spurs
		}
	}
	return way, way.First+n <= firstPrivate
}

// banks are the device, and the spurs of it.
func (d *device) banks() []*device {
	if d.trunk != nil {
		return d.trunk.banks()
	}
	return append([]*device{d}, d.spurs...)
}

// all are the devices of a namespace, and the spurs.
func (s *space) all() (out []*device) {
	for _, d := range s.devices {
		out = append(out, d.banks()...)
	}
	return out
}

// bank is where a process belongs: to those it shares a listener with, else where it is, else to the device itself.
func (d *device) bank(c *client) *device {
	for _, o := range d.banks() {
		if o.akin(c) {
			return o
		}
	}
	for _, o := range d.banks() {
		if o.isMember(c) && !o.private {
			return o
		}
	}
	return d
}

// akin tells whether a process shares a listener with those who are served here. Who only waits at the device itself is not.
func (d *device) akin(c *client) bool {
	served := d.members
	if d.trunk == nil {
		served = d.eligible()
	}
	return slices.ContainsFunc(served, func(m *client) bool { return m != c && d.inCommon(c, m) })
}

func (d *device) inCommon(a, b *client) bool {
	of := d.keysOf(b)
	return slices.ContainsFunc(d.keysOf(a), func(k key) bool { return slices.Contains(of, k) })
}

// enroll makes a process a member where it belongs. With connections of its own making it stays where they come.
func (d *device) enroll(c *client) *device {
	to := d.bank(c)
	for _, o := range d.banks() {
		if o != to && o.isMember(c) && !o.private {
			if o.hasFlows(c) {
				return o
			}
			o.leave(c)
		}
	}
	to.join(c)
	return to
}

// maySpread tells whether the device can have spurs now.
func (d *device) maySpread() bool {
	return d.trunk == nil && d.noSpurs == nil && !d.space.b.drains && d.prog.HasSpurs()
}

// stranger tells of a member that has nothing to share here: others have the queues, and nobody listens where it does.
func (d *device) stranger(c *client) bool {
	keys := d.keysOf(c)
	if n, _ := d.owns(c); n > 0 || len(keys) == 0 || d.hasFlows(c) || !d.contested(c) {
		return false
	}
	return !slices.ContainsFunc(d.banks(), func(o *device) bool { return o.akin(c) || slices.ContainsFunc(keys, o.has) })
}

// shunt gives strangers spurs.
func (d *device) shunt() {
	b := d.space.b
	if !d.maySpread() {
		return
	}
	for _, c := range slices.Clone(d.members) {
		if o := d.bank(c); o != d { // of a server that has just got some
			d.enroll(c)
			o.reconcile()
			continue
		}
		if !d.stranger(c) {
			continue
		}
		if rest := spurPause - time.Since(c.listenedAt); rest > 0 {
			d.lookAgain(rest)
			continue
		}
		s := d.idleSpurs(false)
		if s == nil {
			way, ok := d.freeWay(min(len(d.queues), mostSpurs))
			if !ok {
				return
			}
			s = d.newSpurs(way)
		}
		d.leave(c)
		s.join(c)
		b.log.Infof("broker: %v: shares nothing with who has %s, and gets spurs of it", c, d.Name)
		s.reconcile()
	}
}

// idleSpurs are some that were kept.
func (d *device) idleSpurs(private bool) *device {
	for _, s := range d.spurs {
		if s.private == private && len(s.members) == 0 && len(s.owners()) == 0 && !s.adopted && len(s.entries) == 0 {
			return s
		}
	}
	return nil
}

// lookAgain looks at strangers later.
func (d *device) lookAgain(after time.Duration) {
	if d.looks != nil {
		return
	}
	d.looks = d.space.b.after(after, func() {
		d.looks = nil
		if !d.closed {
			d.reconcile()
		}
	})
}

// spurless is for a host that can't make spurs now: its programs wait at the device again, until they are tried again.
func (d *device) spurless(err error) {
	t := d.trunk
	t.spursLater(err)
	for _, c := range slices.Clone(d.members) {
		d.leave(c)
		t.join(c)
	}
	d.reconcile()
	t.reconcile()
}

// takenElsewhere tells whether an entry of the XDP program leads to other queues than these.
func (d *device) takenElsewhere(k key) bool {
	return slices.ContainsFunc(d.banks(), func(o *device) bool { return o != d && o.has(k) })
}

// lead has packets go to a queue.
func (d *device) lead(q *queue) error {
	if s, ok := q.xsk.(entrance); ok {
		ns, ifindex := s.Entrance()
		return d.prog.SetSpur(q.index, ns, ifindex, q.xsk.FD())
	}
	return d.prog.SetQueue(q.index, q.xsk.FD())
}

// largest is the largest packet that comes by the device's queues, in bytes.
func (d *device) largest() int {
	if d.trunk != nil {
		return min(d.MTU, spur.MaxMTU)
	}
	return d.MTU
}

// ownChecksum: programs must finish checksums themselves. From a spur packets come to the device as they are. And for virtio_net the kernel
// builds them without copying (IFF_TX_SKB_NO_LINEAR), by xsk_build_skb_zerocopy, which did not always read the request for a
// checksum in front of them: each segment left with a wrong sum (6.12, TestNginxInAGuest).
func (d *device) ownChecksum() bool { return d.trunk != nil || d.Driver == "virtio_net" }

// endSpurs is end for spurs.
func (d *device) endSpurs() {
	d.closed = true
	d.close()
	t := d.trunk
	t.spurs = slices.DeleteFunc(t.spurs, func(o *device) bool { return o == d })
	t.reap()
}

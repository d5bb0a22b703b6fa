package broker

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
)

// A queue's packets go to one process, whatever their port, so those who share a device's queues must listen alike:
//
//   - an entry is on when every owner of a queue is ready for it;
//   - a process gets queues when it has all the entries that are on for another owner.
//
// So a worker that has shown the first of its listeners waits until it has shown them all, and an unrelated program on the same device
// gets spurs of it (spurs.go).
//
// With more workers than queues those without one accept from the kernel, whose share of the connections is as large as they are many. They
// cannot have a queue together with others: the kernel allows one umem, with one fill and one completion ring, on a queue, also in copy
// mode, so they would read each other's memory, and each would wait for the others at every frame.

// reconcile compares who has which queue with who should, and starts what is missing. It may be called at any time, under the lock.
func (d *device) reconcile() {
	if d.dead || d.closed || d.adopted || d.space.b.closed {
		return
	}
	members := d.eligible()
	owner, pinned := make([]int, len(d.queues)), make([]bool, len(d.queues))
	for i, q := range d.queues {
		at := q.owner
		if q.moving { // it is as good as there
			at = q.to
		}
		owner[i] = slices.Index(members, at)
		pinned[i] = owner[i] >= 0 && !q.moving && (d.isStuck(q.owner) || d.isOutlet(q))
	}
	owner = d.present(owner)
	d.share = kernelShare(len(owner), len(members))
	yields := map[*client][]*queue{}
	for i, m := range divide(owner, pinned, len(members)) {
		q := d.queues[i]
		if d.dead { // noticed by the one before
			return
		}
		var to *client
		if m >= 0 {
			to = members[m]
		}
		q.to = to
		switch {
		case q.absent || q.moving || q.owner == to || q.owner != nil && d.isStuck(q.owner):
		case q.owner == nil:
			d.open(q, to)
		default:
			yields[q.owner] = append(yields[q.owner], q)
		}
	}
	for _, c := range d.owners() {
		if qs := yields[c]; len(qs) > 0 {
			d.yield(c, qs)
		}
	}
	if d.setEntries() && len(d.eligible()) > len(members) { // who holds an entry that is on now may have queues
		d.reconcile()
		return
	}
	d.shunt()
	d.reap()
}

// present is owner without the queues that cannot be had: those beyond the device's count are at the end.
func (d *device) present(owner []int) []int {
	n := len(d.queues)
	for n > 0 && d.queues[n-1].absent {
		n--
	}
	return owner[:n]
}

// isStuck: a client that did not answer once is not asked for more before it does.
func (d *device) isStuck(c *client) bool {
	return slices.ContainsFunc(d.queues, func(q *queue) bool { return q.owner == c && q.stuck })
}

// owners are the clients with queues here, in order of their first queue.
func (d *device) owners() []*client {
	var r []*client
	for _, q := range d.queues {
		if q.owner != nil && !slices.Contains(r, q.owner) {
			r = append(r, q.owner)
		}
	}
	return r
}

// eligible are the members that may have queues. Those who hold what the owners hold; without owners the first member leads.
func (d *device) eligible() []*client {
	if d.space.b.drains {
		return nil
	}
	required := map[key]bool{}
	leader := true
	for _, c := range d.owners() {
		if !d.isMember(c) {
			continue
		}
		leader = false
		for _, k := range d.keysOf(c) {
			if d.has(k) {
				required[k] = true
			}
		}
	}
	if leader && len(d.members) > 0 {
		for _, k := range d.keysOf(d.members[0]) {
			required[k] = true
		}
	}
	var r []*client
	for i, c := range d.members {
		n, _ := d.owns(c)
		// Without a listener in common there is nothing to share, only to have alone.
		if d.holdsAll(c, required) && (n > 0 || leader && i == 0 || len(required) > 0) {
			r = append(r, c)
		}
	}
	return r
}

func (d *device) isMember(c *client) bool { return slices.Contains(d.members, c) }

func (d *device) holdsAll(c *client, required map[key]bool) bool {
	have := d.keysOf(c)
	for k := range required {
		if !slices.Contains(have, k) {
			return false
		}
	}
	return true
}

// keysOf are the entries that c wants here.
func (d *device) keysOf(c *client) []key {
	var r []key
	if d.private {
		return nil
	}
	for _, l := range c.listeners {
		if !l.left && d.serves(l) {
			r = append(r, l.key)
		}
	}
	return r
}

// serves tells whether a listener uses this device.
func (d *device) serves(l *listener) bool {
	return len(d.on(l.key, l.devices)) > 0
}

// open takes a free queue for a client and offers it. If that cannot be now it is tried again: the last owner's socket may still be
// open in the kernel, or the device be down. It takes tens of milliseconds to register a client's memory; unless a grant is being made,
// which needs the queue now, nobody waits for it under the lock.
func (d *device) open(q *queue, c *client) {
	if c == nil || q.opening {
		return
	}
	b, open, share := d.space.b, d.opener(q), d.space.socketOf(c, d.parts())
	if c.collect != nil {
		x, err := open(c.umem, c.mapped, share)
		d.opened(q, c, x, err)
		return
	}
	umem, err := dupFile(int(c.umem.Fd()), "umem")
	if err != nil {
		d.note(err)
		d.again()
		return
	}
	if share > 0 {
		if share, err = unix.FcntlInt(uintptr(share), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			share = 0
		}
	}
	q.opening = true
	d.space.refs++
	b.goDo(func() {
		x, err := open(umem, efvi.Memory{}, share)
		umem.Close()
		if share > 0 {
			unix.Close(share)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		q.opening = false
		d.openedLate(q, c, x, err)
		d.space.put()
	})
}

// opener opens a queue, also without the lock.
func (d *device) opener(q *queue) func(mem *os.File, m efvi.Memory, share int) (xsk, error) {
	b, ns, ifindex, index, mtu, cfg := d.space.b, d.space.fd(), d.Ifindex, q.index, d.MTU, d.rings()
	if d.trunk != nil {
		return func(mem *os.File, m efvi.Memory, share int) (xsk, error) {
			cfg.Share, cfg.Mapped = share, m
			return b.back.OpenSpur(ns, ifindex, mtu, mem, cfg)
		}
	}
	return func(mem *os.File, m efvi.Memory, share int) (xsk, error) {
		cfg.Share, cfg.Mapped = share, m
		return b.back.OpenQueue(ns, ifindex, index, mem, cfg)
	}
}

// openedLate is opened, some time after: much may have changed.
func (d *device) openedLate(q *queue, c *client, x xsk, err error) {
	if d.dead || d.closed || d.space.b.closed || c.gone || q.owner != nil || q.to != c {
		if err == nil {
			d.note(x.Close())
		}
		d.reconcile()
		return
	}
	if d.opened(q, c, x, err); err == nil {
		d.setEntries()
	}
}

func (d *device) opened(q *queue, c *client, x xsk, err error) {
	switch {
	case err == nil:
		d.delay = 0
		q.owner, q.xsk = c, x
		c.offer(d, q)
		if d.trunk != nil {
			d.spursWork()
		}
	case d.trunk != nil:
		d.spurless(err)
	case errors.Is(err, unix.EINVAL) && q.index > 0 && !errors.Is(err, unix.EBUSY):
		q.absent = true
		d.again()
	case errors.Is(err, unix.ENODEV):
		d.vanished()
	case errors.Is(err, errUnguarded): // nor will be
		if d.unfit == "" {
			d.space.b.log.Infof("broker: %s: %v", d.Name, err)
		}
		d.unfit = err.Error()
	default:
		d.note(err)
		d.again()
	}
}

// socketOf is one of the client's XDP sockets, 0 if it has none: a further one need not register the memory again. What it takes, packets in
// several frames or not, those that share its memory take: parts asks for one that does.
func (s *space) socketOf(c *client, parts bool) int {
	for _, d := range s.all() {
		for _, q := range d.queues {
			if q.owner == c && q.xsk != nil && (!parts || q.xsk.Layout().Parts) {
				return q.xsk.FD()
			}
		}
	}
	return 0
}

// again reconciles later, ever later up to half a second.
func (d *device) again() {
	if d.retry != nil {
		return
	}
	d.delay = min(max(2*d.delay, 5*time.Millisecond), 500*time.Millisecond)
	d.retry = d.space.b.after(d.delay, func() {
		d.retry = nil
		if !d.closed {
			d.reconcile()
		}
	})
}

// vanished ends a device that is not there any more; its owners are told, and stay with the kernel.
func (d *device) vanished() {
	d.dead = true
	d.space.b.log.Infof("broker: %s vanished", d.Name)
	for _, c := range d.owners() {
		c.tell(proto.OpGone, proto.Gone{Ifindex: d.Ifindex})
	}
	for _, q := range d.queues {
		d.free(q)
	}
	d.members, d.adopted = nil, false
	for _, s := range slices.Clone(d.spurs) {
		s.vanished()
	}
	d.reap()
}

// reconcile brings every device of the namespace in order.
func (s *space) reconcile() {
	for _, d := range s.all() {
		d.reconcile()
	}
}

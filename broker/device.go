package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// device is one that programs are served on: its XDP program and who has which queue.
type device struct {
	netDevice
	space     *space
	trunk     *device   // of spurs: the device that they are of
	spurs     []*device // each the spurs of programs that listen alike
	noSpurs   error     // why there can be none now
	private   bool      // spurs of one process, for the connections it makes
	prog      program
	hidden    hider              // nil: the queues are those that everybody's packets arrive on
	outlets   map[*client]*queue // hidden ones, where answers to a client's connections come
	queues    []*queue
	members   []*client      // in order of joining
	entries   map[entry]mark // the listener entries that are set
	vlans     []uint16       // the tags of what is, or once was, on top of it
	share     uint8          // the kernel's, of 256 new connections: for members without a queue
	flows     map[steer.Tuple]*client
	leased    map[netip.AddrPort]*client
	found     bool // an earlier broker attached it, or made it
	adopted   bool // and its owners may still come back
	dead      bool // vanished
	retry     *time.Timer
	looks     *time.Timer // until strangers are looked at
	spurRetry *time.Timer // until spurs are tried again
	spurDelay time.Duration
	kept      *time.Timer   // until the XDP program is taken off an unused device
	delay     time.Duration // before the next retry
	unfit     string        // why nobody gets a queue of it
	closed    bool          // detached: nobody needs it any more
}

// queue is one receive queue.
type queue struct {
	index  int
	owner  *client // who has it, also while it is asked to give it up
	to     *client // who should have it
	xsk    xsk
	ready  bool // the owner has posted frames
	active bool // packets go to it
	moving bool // its owner was asked
	stuck  bool // its owner was asked, and did not answer in time
	absent bool // the device has no such queue

	opening bool // a socket is being made for it
}

// deviceOf returns the device, attaching the XDP program if it is not in use yet.
func (s *space) deviceOf(n netDevice) (*device, error) {
	if d := s.devices[n.Ifindex]; d != nil && !d.dead {
		d.update(n)
		return d, nil
	}
	prog, err := s.b.back.Attach(s.fd(), n.Ifindex, s.b.pins.dir)
	adopted := errors.Is(err, steer.ErrAttached)
	if adopted {
		prog, err = s.b.back.Adopt(s.fd(), n.Ifindex, s.b.pins.dir)
	}
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
		return nil, refuse("%s: another XDP program is attached there", n.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", n.Name, err)
	}
	d := newDevice(s, n, prog)
	s.devices[n.Ifindex] = d
	if pin := (steer.Pin{NetNS: s.inode, Ifindex: n.Ifindex}); adopted {
		d.adopted = s.b.grace[pin]
		d.found = d.adopted
		delete(s.b.grace, pin)
		if d.adopted {
			d.foundSpurs()
		}
		d.note(prog.SetMAC(n.MAC)) // it may have got another one while there was no broker
		s.b.log.Infof("broker: %s (netns %d): XDP program adopted, %s mode", n.Name, s.inode, prog.Mode())
		return d, nil
	}
	s.b.log.Infof("broker: %s (netns %d): XDP program attached, %s mode", n.Name, s.inode, prog.Mode())
	return d, nil
}

// bareDevice is one without queues.
func bareDevice(s *space, n netDevice, prog program) *device {
	d := &device{netDevice: n, space: s, prog: prog, entries: map[entry]mark{}, flows: map[steer.Tuple]*client{}, leased: map[netip.AddrPort]*client{}, outlets: map[*client]*queue{}}
	d.update(n)
	return d
}

func newDevice(s *space, n netDevice, prog program) *device {
	d := bareDevice(s, n, prog)
	if d.hidden = s.hide(n); d.hidden != nil {
		for _, i := range d.hidden.Queues() {
			d.queues = append(d.queues, &queue{index: i})
		}
		return d
	}
	for i := range min(n.Queues, steer.MaxQueues) {
		d.queues = append(d.queues, &queue{index: i})
	}
	return d
}

// close takes the program off the device.
func (d *device) close() {
	for _, s := range d.spurs {
		s.closed = true
		s.close()
	}
	for _, t := range []*time.Timer{d.retry, d.looks, d.spurRetry, d.kept} {
		if t != nil {
			t.Stop()
		}
	}
	for _, q := range d.queues {
		d.free(q)
	}
	if d.trunk != nil {
		return
	}
	d.unhide()
	if err := d.prog.Close(); err != nil {
		d.space.b.log.Errorf("broker: %s: %v", d.Name, err)
		return
	}
	d.space.b.log.Infof("broker: %s: XDP program detached", d.Name)
}

// free takes a queue from whoever has it. Packets go to the kernel from here on.
func (d *device) free(q *queue) {
	d.vacate(q)
	d.note(d.prog.SetQuiet(q.index, false))
}

// vacate takes a queue from an owner that gave it up. It stays as quiet as it is, until the next owner is ready: the peer of a connection
// that moves may repeat a segment on any queue, and the kernel must not answer that with a reset.
func (d *device) vacate(q *queue) {
	if q.xsk != nil {
		d.note(d.prog.DelQueue(q.index))
		d.note(q.xsk.Close())
	}
	*q = queue{index: q.index, absent: q.absent, opening: q.opening}
}

// note logs an error of the kernel's side. A device that vanished gives many; none of them is a reason to stop.
func (d *device) note(err error) {
	if err != nil {
		d.space.b.log.Debugf("broker: %s: %v", d.Name, err)
	}
}

func (d *device) join(c *client) {
	for _, m := range d.members {
		if m == c {
			return
		}
	}
	d.members = append(d.members, c)
	if d.kept != nil {
		d.kept.Stop()
		d.kept = nil
	}
}

// leave ends a membership without a word to the client.
func (d *device) leave(c *client) {
	delete(d.outlets, c)
	for i, m := range d.members {
		if m == c {
			d.members = append(d.members[:i:i], d.members[i+1:]...)
			return
		}
	}
}

// at finds a queue by its number.
func (d *device) at(index int) *queue {
	for _, q := range d.queues {
		if q.index == index {
			return q
		}
	}
	return nil
}

// owns tells how many queues c has here, and whether that is all of the device's: of hidden ones it never is.
func (d *device) owns(c *client) (n int, all bool) {
	all = d.hidden == nil
	for _, q := range d.queues {
		switch {
		case q.absent:
		case q.owner == c:
			n++
		default:
			all = false
		}
	}
	return n, all && n > 0
}

// needed tells whether anybody has to do with the device.
func (d *device) needed() bool {
	return len(d.members) > 0 || len(d.spurs) > 0 || d.adopted || slices.ContainsFunc(d.queues, func(q *queue) bool { return q.owner != nil })
}

// reap closes the device when nobody needs it, and lets the namespace go with its last user. It stays for a while: taking the XDP program
// off and on again costs 50 ms, and short programs come one after the other.
func (d *device) reap() {
	b := d.space.b
	if d.closed || d.needed() {
		return
	}
	if !d.dead && !b.drains && b.cfg.Keep > 0 {
		if d.kept == nil {
			d.kept = b.after(b.cfg.Keep, func() {
				d.kept = nil
				if !d.closed && !d.needed() {
					d.end()
				}
			})
		}
		return
	}
	d.end()
}

// programEnded: the XDP program is taken off, and its entries are no more. Spurs have that of their device.
func (d *device) programEnded() bool {
	if d.trunk != nil {
		d = d.trunk
	}
	return d.closed
}

// end takes the device out of use.
func (d *device) end() {
	if d.trunk != nil {
		d.endSpurs()
		return
	}
	if d.space.devices[d.Ifindex] == d {
		delete(d.space.devices, d.Ifindex)
	}
	d.closed = true // an answer that comes late finds the device here
	d.close()
	if d.space.refs == 0 && len(d.space.devices) == 0 {
		d.space.refs = 1
		d.space.put()
	}
}

package broker

import (
	"encoding/json"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// After a broker's death its programs stay attached by their pins, and packets keep coming to the engines. The next broker waits for the
// owners: each shows what it has, descriptors first, and is listed again. Then what nobody showed is removed.

// startGrace removes pins of devices that are gone, and leaves the others alone until their owners had time to come.
func (b *Broker) startGrace() {
	left, err := steer.Pins(b.pins.dir)
	if err != nil {
		b.log.Errorf("broker: %v", err)
	}
	b.grace = map[steer.Pin]bool{}
	for _, pin := range left {
		p, err := steer.AdoptPin(b.pins.dir, pin)
		if err != nil {
			b.log.Infof("broker: pin %v removed: %v", pin, err)
			if err := steer.RemovePin(b.pins.dir, pin); err != nil {
				b.log.Errorf("broker: %v", err)
			}
			continue
		}
		p.Release()
		b.grace[pin] = true
		b.log.Infof("broker: pin %v found; waiting %v for its owners", pin, b.cfg.Grace)
	}
	if len(b.grace) > 0 {
		b.after(b.cfg.Grace, b.endGrace)
		b.after(lookForOwners, b.lookAgainForOwners)
	}
}

// endGrace removes what nobody adopted.
func (b *Broker) endGrace() {
	for _, s := range b.spaces {
		for _, d := range s.devices {
			d.divideAgain()
		}
	}
	for pin := range b.grace {
		if p, err := steer.AdoptPin(b.pins.dir, pin); err == nil {
			p.Close()
		}
		if err := steer.RemovePin(b.pins.dir, pin); err != nil {
			b.log.Errorf("broker: %v", err)
		}
		b.log.Infof("broker: pin %v removed: nobody came for it", pin)
	}
	b.grace = nil
	b.inquireNow()
	b.repairHidden(nil)
}

// prune takes entries and queues out of an adopted program that no owner showed.
func (d *device) prune() {
	for _, q := range d.queues {
		if q.owner == nil {
			d.note(d.prog.DelQueue(q.index))
			d.note(d.prog.SetQuiet(q.index, false))
		}
	}
	if d.trunk != nil {
		return // entries are the trunk's
	}
	if d.hidden != nil {
		d.note(d.hidden.Sweep())
	}
	l, ok := d.prog.(interface {
		Listeners() ([]steer.ListenerEntry, error)
		Connects() ([]steer.ConnectEntry, error)
	})
	if !ok {
		return
	}
	found, err := l.Listeners()
	d.note(err)
	for _, a := range found {
		if !slices.ContainsFunc(d.banks(), func(o *device) bool {
			_, one := o.entries[entry{a.On.VLAN, key{a.Addr(), a.Port()}}]
			_, any := o.entries[entry{a.On.VLAN, key{port: a.Port()}}]
			return o.leased[a.AddrPort] != nil || one || any
		}) && !d.leadOn(a) {
			d.note(d.prog.DelListener(a.On, a.Addr(), a.Port()))
		}
	}
	flows, err := l.Connects()
	d.note(err)
	for _, t := range flows {
		if !slices.ContainsFunc(d.banks(), func(o *device) bool { return o.flows[t.Tuple] != nil }) {
			d.note(d.prog.DelConnect(t.On, t.Tuple))
		}
	}
}

// leadOn keeps an entry of a listener that an owner of queues had left: what its peers send would meet the kernel, which has no socket for it until it was handed over.
func (d *device) leadOn(a steer.ListenerEntry) bool {
	for _, o := range d.banks() {
		if p, spurs := o.prog.(*byWay); spurs && p.way != a.On.Way || !spurs && a.On.Way != (steer.Way{}) {
			continue
		}
		for _, k := range []key{{a.Addr(), a.Port()}, {port: a.Port()}} {
			if o.lingers(k, o.owners()) {
				o.setEntry(entry{a.On.VLAN, k}, mark{a.On.Ifindex, steer.NoSYN})
				return true
			}
		}
	}
	return false
}

// opAdopt takes a lease over from an earlier broker.
func opAdopt(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Adopt
	if err := p.Into(&r); err != nil || r.Listeners < 0 || len(p.FDs) != 2+len(r.VIs)+r.Listeners {
		return nil, nil, refuse("adopt: descriptors do not fit the message")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.enter(c)
	switch {
	case err != nil:
		return nil, nil, err
	case b.drains:
		return nil, nil, errStops
	case c.umem != nil:
		return nil, nil, refuse("adopt: this process has a lease already")
	}
	if err := c.takeMemory(r.Lease, p.FDs[0], p.FDs[1]); err != nil {
		return nil, nil, err
	}
	g := proto.Grant{Lease: c.lease}
	xsks, socks := p.FDs[2:2+len(r.VIs)], p.FDs[2+len(r.VIs):]
	if err := b.adoptListeners(c, s, r.Devices, socks, &g); err != nil {
		c.forgetState() // its connections live on, without us: their peers must not get resets when it hangs up
		return nil, nil, err
	}
	c.adoptLeft()
	c.noteListeners()
	c.adopted()
	for i := range r.VIs {
		if err := s.adoptVI(c, &r.VIs[i], xsks[i]); err != nil {
			g.Notes = append(g.Notes, err.Error())
			continue
		}
		g.VIs = append(g.VIs, proto.VI{Ifindex: r.VIs[i].Ifindex, Queue: r.VIs[i].Queue})
	}
	for _, d := range s.all() {
		nowhere := !slices.ContainsFunc(d.banks(), func(o *device) bool { return o.isMember(c) })
		if n, _ := d.owns(c); n > 0 && (r.Blocks > 0 || nowhere && r.Listeners > 0) {
			d.join(c)
		}
	}
	for _, f := range r.Flows {
		s.adoptFlow(c, steer.Tuple{Local: unmap(f.Local), Remote: unmap(f.Remote)})
	}
	s.reconcileAdopted()
	c.blocks = r.Blocks
	b.log.Infof("broker: %v: lease %d adopted, %d queues", c, c.lease, len(g.VIs))
	return g, nil, nil
}

// takeMemory takes copies of the client's own umem and state, after a look at them.
func (c *client) takeMemory(lease uint64, umem, state int) error {
	var st unix.Stat_t
	seals, err := unix.FcntlInt(uintptr(umem), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 || unix.Fstat(umem, &st) != nil {
		return refuse("adopt: the umem is no sealed memfd")
	}
	if n := st.Size / frameSize; st.Size%frameSize != 0 || n < 1 || n > maxFrames {
		return refuse("adopt: umem of %d bytes", st.Size)
	}
	m, err := proto.MapState(state)
	if err != nil {
		return refuse("adopt: %v", err)
	}
	var files [2]*os.File
	for i, fd := range []int{umem, state} {
		if files[i], err = dupFile(fd, "adopted"); err != nil {
			m.Close()
			return err
		}
	}
	c.umem, c.state, c.stateMap, c.sentMem = files[0], files[1], m, true
	c.frames, c.lease = int(st.Size/frameSize), lease
	return nil
}

// forgetState undoes takeMemory.
func (c *client) forgetState() {
	c.stateMap.Close()
	c.stateMap = nil
}

// adoptListeners takes listeners in. One whose address is away for the moment, as while its device is down, has no device until that is back (rescan); its queues
// and connections it has all the time, as with a broker that had lived on.
func (b *Broker) adoptListeners(c *client, s *space, allowed []string, socks []int, g *proto.Grant) error {
	all, err := s.netDevices()
	if err != nil {
		return err
	}
	for _, fd := range socks {
		l, err := inspectListener(fd, s)
		if err != nil {
			return err
		}
		l.devices, l.ready = allowed, true
		var devs []*device
		use, notes := choose(all, l.key, allowed)
		if len(use) > 0 {
			if devs, notes, err = s.devicesFor(l.key, allowed, c.mayListen(l.key)); err != nil {
				return err
			}
		}
		g.Notes = append(g.Notes, notes...)
		c.listeners[l.cookie] = l
		c.ports[addrPort(l.key)] = true
		for _, d := range devs {
			d.enroll(c)
		}
	}
	return nil
}

// adoptVI lists the client as the owner of a queue it has an XSK for.
func (s *space) adoptVI(c *client, vi *proto.VI, fd int) error {
	d, err := s.deviceAt(vi.Ifindex)
	if err != nil {
		return err
	}
	d, q := d.bankWith(vi.Queue)
	if q == nil || q.owner != nil {
		return refuse("adopt: queue %d of %s cannot be had", vi.Queue, d.Name)
	}
	if dom, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || dom != unix.AF_XDP {
		return refuse("adopt: queue %d of %s comes without an XDP socket", vi.Queue, d.Name)
	}
	var layout afxdp.Layout
	if err := json.Unmarshal(vi.Layout, &layout); err != nil {
		return refuse("adopt: layout: %v", err)
	}
	f, err := dupFile(fd, "xsk")
	if err != nil {
		return err
	}
	if err := d.leadAdopted(c, q, int(f.Fd())); err != nil {
		f.Close()
		return err
	}
	d.note(d.prog.SetQuiet(vi.Queue, false))
	q.owner, q.xsk, q.ready, q.active = c, &adoptedXSK{f, layout}, true, true
	return nil
}

func (s *space) adoptFlow(c *client, t steer.Tuple) {
	d := s.outgoingBy(c, t.Local)
	if d == nil || d.flows[t] != nil || len(c.flows) >= maxFlows {
		return
	}
	d.join(c)
	d.note(d.aim(c, filterOf(t)))
	d.note(d.setConnect(t))
	d.flows[t], c.flows[t] = c, d
	c.ports[t.Local] = true
}

// deviceAt is deviceOf by number.
func (s *space) deviceAt(ifindex int) (*device, error) {
	all, err := s.netDevices()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.Ifindex == ifindex {
			return s.deviceOf(n)
		}
	}
	return nil, refuse("adopt: there is no device %d", ifindex)
}

// reconcileAdopted switches the entries of what was adopted, without dividing anew before all had time to come.
func (s *space) reconcileAdopted() {
	for _, d := range s.all() {
		if d.adopted {
			d.setEntries()
		} else {
			d.reconcile()
		}
	}
}

// adoptedXSK is a queue that an earlier broker opened.
type adoptedXSK struct {
	file   *os.File
	layout afxdp.Layout
}

func (x *adoptedXSK) FD() int              { return int(x.file.Fd()) }
func (x *adoptedXSK) Layout() afxdp.Layout { return x.layout }
func (x *adoptedXSK) Bind() error          { return unix.EBUSY }
func (x *adoptedXSK) Close() error         { return x.file.Close() }

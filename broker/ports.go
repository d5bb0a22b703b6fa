package broker

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// A program that makes many connections leases local ports in blocks: it shows bound kernel sockets, and from then on every packet for
// those ports that the kernel has no connection for is led to it. Its connections then cost the broker nothing.

// maxPorts bounds what one program may have on lease; all programs of a namespace together have at most half of its range. Each 64 of them cost it a descriptor.
const maxPorts = 12288

// opPorts leases the ports of the bound sockets that the client shows.
func opPorts(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Ports
	if err := p.Into(&r); err != nil || len(p.FDs) == 0 || len(r.Devices) > maxDevices {
		return nil, nil, refuse("ports: needs bound sockets and at most %d devices", maxDevices)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.enter(c)
	if err != nil {
		return nil, nil, err
	}
	if b.drains {
		return nil, nil, errStops
	}
	ports, err := b.inspectPorts(c, s, p.FDs)
	if err != nil {
		return nil, nil, err
	}
	keeper, err := proto.Keep(p.FDs)
	if err != nil {
		return nil, nil, err
	}
	body, fds, err := b.patiently(c, func(until time.Time) (any, []int, error) { return b.leasePorts(c, s, ports, r.Devices, until) })
	if err != nil {
		unix.Close(keeper)
		return nil, nil, err
	}
	return body, append(fds, keeper), nil
}

// leasePorts leads the ports' packets to the client, as steerFlow does those of one flow.
func (b *Broker) leasePorts(c *client, s *space, ports []netip.AddrPort, allowed []string, until time.Time) (any, []int, error) {
	if d := c.leasesOn(ports[0].Addr()); d != nil {
		return proto.Grant{Lease: c.lease}, nil, d.lease(c, ports)
	}
	devs, notes, err := s.devicesFor(key{ip: ports[0].Addr(), port: ports[0].Port()}, allowed, c.mayConnect)
	if err != nil {
		return nil, nil, err
	}
	return b.grantFor(c, devs[0].outgoing(c), notes, until, func(d *device) error { return d.lease(c, ports) })
}

// lease sets the entries of all ports, or of none.
func (d *device) lease(c *client, ports []netip.AddrPort) error {
	if err := d.aim(c, filtersOf(ports)...); err != nil {
		return err
	}
	for _, on := range d.on(key{ports[0].Addr(), ports[0].Port()}, nil) {
		if err := d.prog.SetPorts(on, ports[0].Addr(), numbers(ports)); err != nil {
			d.dropPorts(ports)
			d.unaim(filtersOf(ports)...)
			return err
		}
	}
	for _, a := range ports {
		c.leased[a], d.leased[a] = d, c
	}
	d.space.leased += len(ports)
	c.notePorts()
	return nil
}

// unlease takes ports of one address back.
func (d *device) unlease(c *client, ports []netip.AddrPort) {
	if len(ports) == 0 {
		return
	}
	d.dropPorts(ports)
	d.unaim(filtersOf(ports)...)
	for _, a := range ports {
		delete(d.leased, a)
		delete(c.leased, a)
	}
	d.space.leased -= len(ports)
	c.notePorts()
}

func (d *device) dropPorts(ports []netip.AddrPort) {
	if d.programEnded() { // its client was sent away, and gives them back late
		return
	}
	for _, on := range d.tags() {
		d.note(d.prog.DelPorts(on, ports[0].Addr(), numbers(ports)))
	}
}

func numbers(ports []netip.AddrPort) []uint16 {
	r := make([]uint16, len(ports))
	for i, a := range ports {
		r[i] = a.Port()
	}
	return r
}

// unleaseAll takes back what a client has.
func (c *client) unleaseAll() {
	for len(c.leased) > 0 {
		var of netip.Addr
		var d *device
		var some []netip.AddrPort
		for a, at := range c.leased {
			if d == nil {
				of, d = a.Addr(), at
			}
			if at == d && a.Addr() == of {
				some = append(some, a)
			}
		}
		d.unlease(c, some)
	}
}

// leasesOn is the device on which a client has ports of an address already, and gets the answers; nil: none. It saves the look at all devices.
func (c *client) leasesOn(ip netip.Addr) *device {
	for a, d := range c.leased {
		if a.Addr() == ip {
			if !d.dead && !d.closed && d.isMember(c) && d.getsAnswers(c) == nil {
				return d
			}
			return nil
		}
	}
	return nil
}

// opUnports takes ports back. With the last thing that a client has on a device its queues go, too.
func opUnports(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Unports
	if err := p.Into(&r); err != nil || len(r.Ports) > maxPorts {
		return nil, nil, refuse("unports: %v", err)
	}
	var rest []int
	if len(p.FDs) == 1 {
		keeper, err := keepRest(p.FDs[0], r)
		if err != nil {
			return nil, nil, refuse("unports: %v", err)
		}
		rest = append(rest, keeper)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	back := map[*device][]netip.AddrPort{}
	for _, port := range r.Ports {
		a := unmap(netip.AddrPortFrom(r.Local, port))
		if d := c.leased[a]; d != nil {
			back[d] = append(back[d], a)
		}
	}
	for d, ports := range back {
		d.unlease(c, ports)
	}
	c.settleMembership()
	return nil, rest, nil
}

// opKeep is opPorts for a block that an earlier broker leased: the sockets are in the keeper that it gave.
func opKeep(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	if len(p.FDs) != 1 {
		return nil, nil, refuse("keep: needs one keeper")
	}
	socks, err := proto.Kept(p.FDs[0])
	if err != nil {
		return nil, nil, refuse("keep: %v", err)
	}
	defer closeAll(socks)
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.enter(c)
	if err != nil {
		return nil, nil, err
	}
	c.blocks--
	ports, err := b.inspectPorts(c, s, socks)
	if err != nil {
		return nil, nil, err
	}
	if d := s.outgoingBy(c, ports[0]); d != nil && c.mayConnect(d.Name) == nil {
		d.join(c)
		return nil, nil, d.lease(c, ports)
	}
	return nil, nil, refuse("keep: no queue of a device with %v", ports[0].Addr())
}

// inspectPorts learns which ports the sockets hold: all of one address, each by a socket that shares its port with nobody.
func (b *Broker) inspectPorts(c *client, s *space, socks []int) (ports []netip.AddrPort, err error) {
	for _, fd := range socks {
		a, err := heldPort(fd, s)
		switch {
		case err != nil:
			return nil, err
		case len(ports) > 0 && a.Addr() != ports[0].Addr():
			return nil, refuse("ports: of %v and %v in one block", a.Addr(), ports[0].Addr())
		case slices.Contains(ports, a), c.leased[a] != nil:
			return nil, refuse("ports: %v twice", a)
		}
		ports = append(ports, a)
	}
	if len(c.leased)+len(ports) > maxPorts {
		return nil, refuse("ports: more than %d", maxPorts)
	}
	lo, hi, err := b.back.PortRange(s.fd())
	if err != nil {
		return nil, err
	}
	if s.leased+len(ports) > (hi-lo+1)/2 {
		return nil, refuse("ports: half of those from %d to %d are leased", lo, hi)
	}
	return ports, nil
}

// heldPort is the port that a socket keeps from everybody else.
func heldPort(fd int, s *space) (a netip.AddrPort, err error) {
	if err := inspectTCP(fd, s); err != nil {
		return a, err
	}
	for _, o := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT, unix.SO_ACCEPTCONN} {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o); err != nil || on != 0 {
			return a, refuse("ports: a socket that listens or shares its port")
		}
	}
	if _, err := unix.Getpeername(fd); err == nil {
		return a, refuse("ports: a socket that is connected")
	}
	if a, _, err = boundTo(fd); err != nil {
		return a, err
	}
	if a = unmap(a); a.Port() == 0 || a.Addr().IsUnspecified() {
		return a, refuse("ports: a socket that is not bound to address and port")
	}
	return a, nil
}

// patiently tries until queues can be had: those of a program that just ended are closed by the kernel in its own time, and those of one
// that does nothing with them are given up on request. Under the lock, but for the pauses.
func (b *Broker) patiently(c *client, try func(until time.Time) (any, []int, error)) (any, []int, error) {
	for until := time.Now().Add(connectPatience); ; {
		body, fds, err := try(until)
		if !errors.Is(err, errNoQueue) || time.Now().After(until) {
			return body, fds, err
		}
		if !b.waits(c) {
			return nil, nil, errStops
		}
	}
}

// waits gives the lock away for a moment, and tells whether there is something to wait for still.
func (b *Broker) waits(c *client) bool {
	b.mu.Unlock()
	goOn := b.pause(5 * time.Millisecond)
	b.mu.Lock()
	return goOn && !c.gone && !b.closed
}

// sendAway ends the memberships of those who hold queues here for connections to come, and have none, or for listeners to come: somebody has a use
// for them.
func (d *device) sendAway(c *client) {
	for _, o := range d.owners() {
		if o != c && o.collect == nil && len(d.keysOf(o)) == 0 && (len(o.connections()) == 0 || o.resting != nil && !d.hasFlows(o)) {
			d.leave(o)
		}
	}
}

// contested: another's queues will not be free by themselves.
func (d *device) contested(c *client) bool {
	return slices.ContainsFunc(d.owners(), func(o *client) bool { return o != c && d.isMember(o) })
}

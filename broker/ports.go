package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// A program that makes many connections leases local ports in blocks: it shows bound kernel sockets, and from then on every packet for
// those ports that the kernel has no connection for is led to it. Its connections then cost the broker nothing.

// maxPorts bounds what one program may have on lease; all programs of a namespace together have at most half of its range.
const maxPorts = 4096

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
	keeper, err := keep(p.FDs)
	if err != nil {
		return nil, nil, err
	}
	body, fds, err := b.patiently(c, func() (any, []int, error) { return b.leasePorts(c, s, ports, r.Devices) })
	if err != nil {
		unix.Close(keeper)
		return nil, nil, err
	}
	return body, append(fds, keeper), nil
}

// leasePorts leads the ports' packets to the client. They may come by any queue of the device, so the client needs them all.
func (b *Broker) leasePorts(c *client, s *space, ports []netip.AddrPort, allowed []string) (any, []int, error) {
	devs, notes, err := s.devicesFor(key{ip: ports[0].Addr(), port: ports[0].Port()}, allowed, c.mayConnect)
	if err != nil {
		return nil, nil, err
	}
	d := devs[0]
	body, fds, err := b.grantAll(c, d, notes)
	if err != nil {
		return nil, nil, err
	}
	if err := d.lease(c, ports); err != nil {
		closeAll(fds)
		c.settleMembership()
		return nil, nil, err
	}
	return body, fds, nil
}

// lease sets the entries of all ports, or of none.
func (d *device) lease(c *client, ports []netip.AddrPort) error {
	for i, a := range ports {
		if err := d.prog.SetListener(a.Addr(), a.Port(), 0); err != nil {
			for _, a := range ports[:i] {
				d.note(d.prog.DelListener(a.Addr(), a.Port()))
			}
			return err
		}
	}
	for _, a := range ports {
		c.leased[a], d.leased[a] = d, c
	}
	d.space.leased += len(ports)
	return nil
}

// unlease takes one port back.
func (c *client) unlease(a netip.AddrPort, d *device) {
	d.note(d.prog.DelListener(a.Addr(), a.Port()))
	delete(d.leased, a)
	delete(c.leased, a)
	d.space.leased--
}

// opUnports takes ports back. With the last thing that a client has on a device its queues go, too.
func opUnports(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Unports
	if err := p.Into(&r); err != nil || len(r.Ports) > maxPorts {
		return nil, nil, refuse("unports: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, port := range r.Ports {
		a := unmap(netip.AddrPortFrom(r.Local, port))
		if d := c.leased[a]; d != nil {
			c.unlease(a, d)
		}
	}
	c.settleMembership()
	return nil, nil, nil
}

// opKeep is opPorts for a block that an earlier broker leased: the sockets are in the keeper that it gave.
func opKeep(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	if len(p.FDs) != 1 {
		return nil, nil, refuse("keep: needs one keeper")
	}
	socks, err := kept(p.FDs[0])
	if err != nil {
		return nil, nil, err
	}
	defer closeAll(socks)
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.enter(c)
	if err != nil {
		return nil, nil, err
	}
	ports, err := b.inspectPorts(c, s, socks)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range s.devices {
		if n, _ := d.owns(c); n > 0 && d.carries(key{ports[0].Addr(), ports[0].Port()}) && c.mayConnect(d.Name) == nil {
			d.join(c)
			return nil, nil, d.lease(c, ports)
		}
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

// keep puts sockets in flight, in one message that nobody receives: whoever has the keeper has them, at the price of one descriptor.
// It is sent from here since what is in flight counts against the sender's limit, and a program's should stay what it was.
func keep(socks []int) (keeper int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("keeper of ports: %w", err)
	}
	defer unix.Close(pair[0])
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(socks...), nil, unix.MSG_NOSIGNAL); err != nil {
		unix.Close(pair[1])
		return -1, fmt.Errorf("keeper of ports: %w", err)
	}
	return pair[1], nil
}

// kept copies the sockets out of a keeper.
func kept(keeper int) ([]int, error) {
	oob := make([]byte, unix.CmsgSpace(4*proto.MaxFDs))
	n, oobn, flags, _, err := unix.Recvmsg(keeper, make([]byte, 1), oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, refuse("keep: %v", err)
	}
	var p proto.Packet
	if err := p.Control(oob[:oobn]); err != nil || n != 1 || flags&unix.MSG_CTRUNC != 0 || len(p.FDs) == 0 {
		p.CloseFDs()
		return nil, refuse("keep: no keeper")
	}
	return p.FDs, nil
}

// patiently tries until queues can be had: those of a program that just ended are closed by the kernel in its own time, and those of one
// that does nothing with them are given up on request. Under the lock, but for the pauses.
func (b *Broker) patiently(c *client, try func() (any, []int, error)) (any, []int, error) {
	for until := time.Now().Add(connectPatience); ; {
		body, fds, err := try()
		if !errors.Is(err, errNoQueue) || time.Now().After(until) {
			return body, fds, err
		}
		b.mu.Unlock()
		goOn := b.pause(5 * time.Millisecond)
		b.mu.Lock()
		if !goOn || c.gone {
			return nil, nil, errStops
		}
	}
}

// sendAway ends the memberships of those who hold queues here for connections to come, and have none: somebody has a use for them.
func (d *device) sendAway(c *client) {
	for _, o := range d.owners() {
		if o != c && len(d.keysOf(o)) == 0 && len(o.connections()) == 0 {
			d.leave(o)
		}
	}
}

// contested: another's queues will not be free by themselves.
func (d *device) contested(c *client) bool {
	return slices.ContainsFunc(d.owners(), func(o *client) bool { return o != c && d.isMember(o) })
}

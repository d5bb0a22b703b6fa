package broker

import (
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// watchLinks follows the devices of a namespace while it has users: one that vanishes is forgotten, one that comes up, or gets an
// address later, serves the listeners that it concerns.
func (s *space) watchLinks() {
	links, addrs := make(chan netlink.LinkUpdate, 16), make(chan netlink.AddrUpdate, 16)
	ns := netns.NsHandle(s.fd())
	ignore := func(error) {}
	if err := netlink.LinkSubscribeWithOptions(links, s.done, netlink.LinkSubscribeOptions{Namespace: &ns, ErrorCallback: ignore}); err != nil {
		s.b.log.Debugf("broker: follow devices: %v", err)
		return
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, s.done, netlink.AddrSubscribeOptions{Namespace: &ns, ErrorCallback: ignore}); err != nil {
		s.b.log.Debugf("broker: follow addresses: %v", err)
	}
	s.b.goDo(func() {
		for {
			select {
			case <-s.done:
				return
			case <-s.b.stopping:
				return
			case u, ok := <-links:
				if !ok {
					return
				}
				s.linkChanged(int(u.Index), u.Header.Type == unix.RTM_DELLINK)
			case _, ok := <-addrs:
				if !ok {
					return
				}
				s.linkChanged(0, false)
			}
		}
	})
}

func (s *space) linkChanged(ifindex int, gone bool) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.closed || s.b.drains || s.closed {
		return
	}
	if d := s.devices[ifindex]; d != nil && gone {
		d.vanished()
		return
	}
	if !gone {
		s.rescan()
	}
}

// rescan lets listeners have devices that they could not have before, and VLANs on them.
func (s *space) rescan() {
	all, err := s.netDevices()
	if err != nil {
		return
	}
	for _, n := range all {
		if d := s.devices[n.Ifindex]; d != nil && !d.dead {
			d.update(n)
		}
	}
	for c := range s.b.clients {
		if c.space != s || c.umem == nil {
			continue
		}
		for _, l := range c.listeners {
			if l.left {
				continue
			}
			use, _ := choose(all, l.key, l.devices)
			for _, n := range use {
				if c.mayListen(l.key)(n.Name) != nil {
					continue
				}
				if d, err := s.deviceOf(n); err == nil {
					d.enroll(c)
				}
			}
		}
	}
	s.reconcile()
}

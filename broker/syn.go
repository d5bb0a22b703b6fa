package broker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// Where routes are not symmetric, a SYN may come by a device whose queues a program has while the way back is by one that it has not: it can
// never answer. The kernel can. It gets the SYN by its loopback device, which asks nothing about the sender's address, and makes the connection;
// what comes after that the XDP program finds in the kernel's table.

// maxSYNs is how many a program may give back in a second.
const maxSYNs = 1000

func opSYN(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.SYN
	if err := p.Into(&r); err != nil {
		return nil, nil, refuse("syn: %v", err)
	}
	t, ok := bareSYN(r.Packet)
	if !ok {
		return nil, nil, refuse("syn: the packet is no SYN")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case c.gone || c.space == nil || !b.covered(c, t):
		return nil, nil, refuse("syn: %v has no listener for %v", c, t.Local)
	case !c.mayLoop(time.Now()):
		return nil, nil, nil // its sender repeats it
	}
	return nil, nil, b.back.Loop(c.space.fd(), r.Packet, t.Local.Addr())
}

// mayLoop counts a SYN, and says whether it is one too many in this second.
func (c *client) mayLoop(now time.Time) bool {
	if now.Sub(c.synsSince) > time.Second {
		c.synsSince, c.syns = now, 0
	}
	c.syns++
	return c.syns <= maxSYNs
}

// bareSYN reads the ends of a SYN without data; ok is false for everything else, a fragment, say. The kernel checks the rest.
func bareSYN(b []byte) (t steer.Tuple, ok bool) {
	if len(b) < 40 {
		return t, false
	}
	var src, dst netip.Addr
	var total, ip int
	switch b[0] >> 4 {
	case 4:
		src, dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		total, ip = int(binary.BigEndian.Uint16(b[2:])), int(b[0]&15)*4
		ok = ip >= 20 && b[9] == unix.IPPROTO_TCP && binary.BigEndian.Uint16(b[6:])&0x3fff == 0
	case 6:
		src, dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:40]))
		total, ip = 40+int(binary.BigEndian.Uint16(b[4:])), 40
		ok = b[6] == unix.IPPROTO_TCP
	}
	if !ok || total != len(b) || len(b) < ip+20 {
		return t, false
	}
	tcp := b[ip:]
	const fin, syn, rst, ack = 1, 2, 4, 16
	if tcp[13]&(fin|syn|rst|ack) != syn || len(tcp) != int(tcp[12]>>4)*4 {
		return t, false
	}
	port := func(at int) uint16 { return binary.BigEndian.Uint16(tcp[at:]) }
	return steer.Tuple{Local: netip.AddrPortFrom(dst, port(2)), Remote: netip.AddrPortFrom(src, port(0))}, true
}

// Loop sends the packet to ourselves: an output route to an address of our own is by lo, and a packet that brings its route along is not
// asked where it comes from (rp_filter). To another host's address nothing is sent.
func (kernel) Loop(ns int, packet []byte, to netip.Addr) error {
	return netns.Do(ns, func() error {
		way, err := netlink.RouteGet(to.AsSlice())
		if err != nil || len(way) != 1 || way[0].Type != unix.RTN_LOCAL {
			return refuse("syn: %v is no address of this host", to)
		}
		family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.As16()})
		if to.Is4() {
			family, sa = unix.AF_INET, &unix.SockaddrInet4{Addr: to.As4()}
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
		if err != nil {
			return fmt.Errorf("raw socket: %w", err)
		}
		defer unix.Close(fd)
		if err := unix.Sendto(fd, packet, 0, sa); err != nil {
			return fmt.Errorf("packet to %v: %w", to, err)
		}
		return nil
	})
}

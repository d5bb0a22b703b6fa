// Package spur makes queues behind a device, which packets of all the device's own queues can be led to:
//
//	device ──XDP program redirects──► begin ═══ end ──► AF_XDP socket
//	device ◄──XDP program redirects── begin ═══ end ◄── AF_XDP socket
//
// Begin and end are a veth pair in a network namespace that nobody else is in. An AF_XDP socket gets packets of the very queue that it is
// bound to, and a queue has one umem; so programs that are to have nothing of each other's packets cannot share queues, and on a device
// without filters the card's hash knows no programs. A spur is one program's. It costs a turn of NAPI each way and no copy: 64 bytes there and
// back between two namespaces took 5.7 to 6.3 us by a spur and 5.7 to 7.0 us without (docs/hidden-queues.md).
//
// The socket keeps the namespace, and that the pair. So a spur lives exactly as long as any process holds its socket, and needs no repair.
package spur

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/netns"
)

// MaxMTU is the largest MTU of a spur, in bytes: what veth with XDP in the driver takes in one piece, whatever the processor's cache lines.
// With packets in several frames it is that of IP.
const MaxMTU, maxJoined = 3498, 65535

// names of the pair in its namespace.
const begin, end = "begin", "end"

// Queue is the queue at the end of a spur.
type Queue struct {
	*afxdp.Queue
	ns      *os.File
	ifindex int // of the beginning
}

// Open makes a spur of the device ifindex in the network namespace ns, with a socket over mem at its end. It needs CAP_SYS_ADMIN, and
// what OpenQueue needs. Packets come to it once the device's XDP program redirects them to Begin.
func Open(ns, ifindex, mtu int, mem *os.File, cfg afxdp.RingConfig) (*Queue, error) {
	own, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("spur of interface %d: %w", ifindex, err)
	}
	q := &Queue{ns: own}
	err = netns.Do(int(own.Fd()), func() error { return q.lay(ns, ifindex, mtu, mem, cfg) })
	if err != nil {
		return nil, fmt.Errorf("spur of interface %d: %w", ifindex, errors.Join(err, q.Close()))
	}
	return q, nil
}

// newNamespace makes a network namespace.
func newNamespace() (f *os.File, err error) {
	home, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	// Into the one the thread is in already: Do is here for the way back.
	err = netns.Do(int(home.Fd()), func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return f, err
}

// lay runs in the spur's namespace.
func (q *Queue) lay(ns, ifindex, mtu int, mem *os.File, cfg afxdp.RingConfig) error {
	// Nothing but what is redirected is to travel here: no neighbour discovery of the kernel's.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644)
	attrs := netlink.NewLinkAttrs()
	if mtu = min(mtu, MaxMTU); cfg.Parts { // what has been joined is redirected as it is
		mtu = maxJoined
	}
	attrs.Name, attrs.MTU = begin, mtu
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: end, PeerMTU: uint32(mtu)}); err != nil {
		return fmt.Errorf("make veth pair: %w", err)
	}
	var pair [2]netlink.Link
	for i, name := range []string{begin, end} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
		pair[i] = l
	}
	q.ifindex = pair[0].Attrs().Index
	if err := leadBack(pair[0], ns, ifindex, cfg.Parts); err != nil {
		return err
	}
	var err error
	if q.Queue, err = afxdp.OpenQueue(pair[1].Attrs().Index, 0, mem, cfg); err != nil {
		return err
	}
	return leadIn(pair[1], q.FD(), cfg.Parts)
}

// leadBack redirects what is sent at the end to the device, on the generic path: so it leaves as the kernel's own packets do, whether or not
// the device's driver sends for XDP programs.
func leadBack(l netlink.Link, ns, ifindex int, parts bool) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("make devmap: %w", err)
	}
	defer m.Close()
	if err := netns.Do(ns, func() error { return m.Put(uint32(0), uint32(ifindex)) }); err != nil {
		return fmt.Errorf("lead back to interface %d: %w", ifindex, err)
	}
	return attach(l, m, unix.XDP_FLAGS_SKB_MODE, parts)
}

// leadIn gives what comes to the end to the socket there. In the driver: only so veth takes what is redirected to its other end.
func leadIn(l netlink.Link, socket int, parts bool) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("make XSK map: %w", err)
	}
	defer m.Close()
	if err := m.Put(uint32(0), uint32(socket)); err != nil {
		return fmt.Errorf("set socket: %w", err)
	}
	return attach(l, m, unix.XDP_FLAGS_DRV_MODE, parts)
}

// Entrance is the device that packets are to be redirected to, and its network namespace, which stays the queue's.
func (q *Queue) Entrance() (ns, ifindex int) { return int(q.ns.Fd()), q.ifindex }

// Close ends the spur, once no other process holds the socket.
func (q *Queue) Close() error {
	var err error
	if q.Queue != nil {
		err = q.Queue.Close()
	}
	return errors.Join(err, q.ns.Close())
}

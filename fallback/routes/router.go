// Package routes answers "where does a packet to this address go?" from the kernel's own tables.
//
// Each answer is the kernel's (RTM_GETROUTE, RTM_GETNEIGH, RTM_GETLINK), so policy rules, source selection, metrics and
// learnt path MTUs count as they do for a kernel socket. Answers are kept until rtnetlink announces a change that
// concerns them; Generation then grows and users forget what they copied. No privilege is needed, nothing blocks, and there
// is no goroutine: the owner polls FD and calls Process. All of it is bound to the network namespace of the thread that
// called New. A Router belongs to one thread of control at a time.
package routes

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

var (
	// ErrLocal: the address is one of this host's own; such traffic never passes a device.
	ErrLocal = errors.New("address is local to this host")
	// ErrNotUnicast: broadcast, multicast.
	ErrNotUnicast = errors.New("address is not unicast")
	// ErrUnreachable: the kernel has no route, or one that refuses.
	ErrUnreachable = errors.New("no route to host")
)

// maxKept bounds each table of kept answers: a scan of addresses must not grow memory.
const maxKept = 4096

// Hop is the first step of the way to an address.
type Hop struct {
	Ifindex  int
	MTU      int        // bytes of IP packet: the route's if it has one, else the link's
	Src      netip.Addr // source address: the one asked with, or the kernel's choice
	NextHop  netip.Addr // the gateway, or the destination itself on the link
	MAC      [6]byte    // of NextHop, if Resolved
	Resolved bool       // false: call Resolve and ask again after Generation changed
	VLAN     uint16     // 802.1Q identifier, if Ifindex is a VLAN device
	Below    int        // and the number of the device below it; else 0
}

type pair struct{ dst, src netip.Addr }

// Router keeps what the kernel answered.
type Router struct {
	ask   *socket // requests
	watch *socket // announcements
	probe [2]int  // UDP sockets for Resolve: IPv4, IPv6; -1 where the family is missing

	gen   uint64
	kept  map[pair]Hop
	neigh map[neighKey]neighbour
	// missing are neighbours that were answered as unresolved.
	missing map[neighKey]struct{}
	links   map[int]Link
	buf     []byte // for Process
}

// New makes a router for the calling thread's network namespace. Its descriptors are numbered from fdMin on.
func New(fdMin int) (*Router, error) {
	r := &Router{
		gen: 1, kept: map[pair]Hop{}, neigh: map[neighKey]neighbour{}, missing: map[neighKey]struct{}{}, links: map[int]Link{},
		probe: [2]int{-1, -1}, buf: make([]byte, 64<<10),
	}
	var err error
	if r.watch, err = open(fdMin, watched); err != nil {
		return nil, fmt.Errorf("watch rtnetlink: %w", err)
	}
	if r.ask, err = open(fdMin, 0); err != nil {
		r.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	for i, family := range []int{unix.AF_INET, unix.AF_INET6} {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			continue // a kernel without the family: nothing of it to resolve
		}
		if r.probe[i], err = lift(fd, fdMin); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close gives the descriptors back.
func (r *Router) Close() {
	for _, s := range []*socket{r.ask, r.watch} {
		if s != nil {
			_ = unix.Close(s.fd)
		}
	}
	for _, fd := range r.probe {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// FD polls readable when Process has something to do.
func (r *Router) FD() int { return r.watch.fd }

// FDs are all descriptors it holds.
func (r *Router) FDs() []int {
	fds := []int{r.ask.fd, r.watch.fd}
	for _, fd := range r.probe {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Generation changes when an earlier answer may have become wrong.
func (r *Router) Generation() uint64 { return r.gen }

// Route finds the first hop to dst. An invalid src lets the kernel choose one. Kept answers cost no system call and no
// allocation. The error is ErrLocal, ErrNotUnicast, or wraps ErrUnreachable.
func (r *Router) Route(dst, src netip.Addr) (Hop, error) {
	key := pair{dst.Unmap(), src.Unmap()}
	if h, ok := r.kept[key]; ok {
		return h, nil
	}
	h, err := r.askRoute(key.dst, key.src)
	if err != nil {
		return Hop{}, err
	}
	link, err := r.Link(h.Ifindex)
	if err != nil {
		return Hop{}, err
	}
	if h.MTU == 0 || h.MTU > link.MTU {
		h.MTU = link.MTU
	}
	h.VLAN, h.Below = link.VLAN, link.Below
	n := r.neighbour(neighKey{h.Ifindex, h.NextHop})
	h.MAC, h.Resolved = n.mac, n.usable
	if h.Resolved {
		if len(r.kept) >= maxKept {
			clear(r.kept)
		}
		r.kept[key] = h
	}
	return h, nil
}

// forget drops all kept routes: something they rest on has changed.
func (r *Router) forget() {
	clear(r.kept)
	r.gen++
}

// lift moves fd to a number from min on, close-on-exec.
func lift(fd, min int) (int, error) {
	if fd >= min {
		return fd, nil
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, min)
	_ = unix.Close(fd)
	if err != nil {
		return -1, fmt.Errorf("move descriptor up: %w", err)
	}
	return high, nil
}

package routes

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// watched are the groups whose announcements can change an answer.
const watched = unix.RTMGRP_LINK | unix.RTMGRP_NEIGH | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
	unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE | unix.RTMGRP_IPV4_RULE | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// turn bounds the announcements read by one Process: the rest waits for the next.
const turn = 64

// Process reads the announcements that have come and says whether Generation changed.
func (r *Router) Process() bool {
	before := r.gen
	for range turn {
		n, _, err := unix.Recvfrom(r.watch.fd, r.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			// Announcements were lost: nothing kept can be trusted.
			clear(r.neigh)
			clear(r.links)
			r.forget()
			continue
		case err != nil || n <= 0:
			return r.gen != before
		}
		msgs, err := syscall.ParseNetlinkMessage(r.buf[:n])
		if err != nil {
			continue
		}
		for _, m := range msgs {
			r.announced(m.Header.Type, m.Data)
		}
	}
	return r.gen != before
}

func (r *Router) announced(kind uint16, b []byte) {
	switch kind {
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		r.neighChanged(kind, b)
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		r.linkChanged(kind, b)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWRULE, unix.RTM_DELRULE:
		r.forget()
	}
}

// neighChanged counts only what changes an answer: entries go from reachable to stale and back all the time.
func (r *Router) neighChanged(kind uint16, b []byte) {
	k, n := parseNeigh(b)
	if kind == unix.RTM_DELNEIGH {
		n = neighbour{}
	}
	old, had := r.neigh[k]
	switch {
	case had && old == n:
		return
	case had:
		delete(r.neigh, k)
		if n.usable {
			r.neigh[k] = n
		}
		r.forget()
	case n.usable:
		if _, asked := r.missing[k]; asked {
			r.found(k, n)
		}
	}
}

func (r *Router) linkChanged(kind uint16, b []byte) {
	i, l := parseLink(b)
	old, had := r.links[i]
	if kind == unix.RTM_NEWLINK && had && old == l {
		return
	}
	delete(r.links, i)
	if had {
		r.forget()
	}
}

// Resolve makes the kernel look for a neighbour: an empty datagram to its discard port goes the kernel's own way, ARP or
// neighbour discovery first (RFC 826, RFC 4861). The answer arrives as an announcement. It never blocks; errors do
// not matter, whoever waits asks again.
func (r *Router) Resolve(ifindex int, next netip.Addr) {
	const discard = 9
	if next.Is4() && r.probe[0] >= 0 {
		_ = unix.Sendto(r.probe[0], nil, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Port: discard, Addr: next.As4()})
	} else if next.Is6() && r.probe[1] >= 0 {
		sa := &unix.SockaddrInet6{Port: discard, Addr: next.As16()}
		if next.IsLinkLocalUnicast() {
			sa.ZoneId = uint32(ifindex)
		}
		_ = unix.Sendto(r.probe[1], nil, unix.MSG_DONTWAIT, sa)
	}
}

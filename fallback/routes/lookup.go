package routes

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// usableStates are the states in which the kernel itself would send to a neighbour's address at once.
const usableStates = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE

const (
	sizeNdMsg     = 12
	sizeIfInfomsg = 16
)

type neighKey struct {
	ifindex int
	addr    netip.Addr
}

type neighbour struct {
	mac    [6]byte
	usable bool
}

// Link is what a path needs to know of a device.
type Link struct {
	Name string
	MTU  int
	MAC  [6]byte
	Up   bool // IFF_UP and running

	VLAN  uint16 // 802.1Q identifier of a VLAN device, else 0
	Below int    // number of the device below that, in the same network namespace; else 0
}

func (r *Router) askRoute(dst, src netip.Addr) (Hop, error) {
	msg := nl.RtMsg{RtMsg: unix.RtMsg{Family: family(dst), Dst_len: uint8(dst.BitLen())}}
	with := []*nl.RtAttr{addrAttr(unix.RTA_DST, dst)}
	if src.IsValid() && !src.IsUnspecified() {
		msg.Src_len = uint8(src.BitLen())
		with = append(with, addrAttr(unix.RTA_SRC, src))
	}
	b, err := r.ask.do(unix.RTM_GETROUTE, msg.Serialize(), with...)
	if err != nil {
		return Hop{}, fmt.Errorf("%w (%v): %w", ErrUnreachable, dst, err)
	}
	if len(b) < unix.SizeofRtMsg {
		return Hop{}, fmt.Errorf("%w (%v): short answer", ErrUnreachable, dst)
	}
	switch kind := nl.DeserializeRtMsg(b).Type; kind {
	case unix.RTN_UNICAST:
	case unix.RTN_LOCAL:
		return Hop{}, ErrLocal
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return Hop{}, ErrNotUnicast
	default:
		return Hop{}, fmt.Errorf("%w (%v): route type %d", ErrUnreachable, dst, kind)
	}
	return parseRoute(b, Hop{Src: src, NextHop: dst}), nil
}

func parseRoute(b []byte, h Hop) Hop {
	for _, a := range attrs(b, unix.SizeofRtMsg) {
		switch a.Attr.Type {
		case unix.RTA_OIF:
			h.Ifindex = u32(a.Value)
		case unix.RTA_GATEWAY:
			h.NextHop = addrOf(a.Value)
		case unix.RTA_VIA: // family (2 bytes), address: a gateway of the other family
			if len(a.Value) > 2 {
				h.NextHop = addrOf(a.Value[2:])
			}
		case unix.RTA_PREFSRC:
			if !h.Src.IsValid() || h.Src.IsUnspecified() {
				h.Src = addrOf(a.Value)
			}
		case unix.RTA_METRICS:
			for _, m := range attrs(a.Value, 0) {
				if m.Attr.Type == unix.RTAX_MTU {
					h.MTU = u32(m.Value)
				}
			}
		}
	}
	return h
}

// neighbour returns the kernel's entry, kept once it is usable.
func (r *Router) neighbour(k neighKey) neighbour {
	if n, ok := r.neigh[k]; ok {
		return n
	}
	msg := make([]byte, sizeNdMsg)
	msg[0] = family(k.addr)
	nl.NativeEndian().PutUint32(msg[4:], uint32(k.ifindex))
	b, err := r.ask.do(unix.RTM_GETNEIGH, msg, addrAttr(unix.NDA_DST, k.addr))
	n := neighbour{}
	if err == nil { // ENOENT: nobody asked for it yet
		_, n = parseNeigh(b)
	}
	r.found(k, n)
	return n
}

// found keeps a usable neighbour, and remembers that somebody was told of one that is not.
func (r *Router) found(k neighKey, n neighbour) {
	if len(r.neigh) >= maxKept || len(r.missing) >= maxKept {
		clear(r.neigh)
		clear(r.missing)
		r.forget()
	}
	if !n.usable {
		r.missing[k] = struct{}{}
		return
	}
	r.neigh[k] = n
	if _, ok := r.missing[k]; ok {
		delete(r.missing, k)
		r.gen++ // others still have the answer without an address
	}
}

func parseNeigh(b []byte) (k neighKey, n neighbour) {
	if len(b) < sizeNdMsg {
		return k, n
	}
	k.ifindex = u32(b[4:])
	state := nl.NativeEndian().Uint16(b[8:])
	for _, a := range attrs(b, sizeNdMsg) {
		switch {
		case a.Attr.Type == unix.NDA_DST:
			k.addr = addrOf(a.Value)
		case a.Attr.Type == unix.NDA_LLADDR && len(a.Value) == 6:
			n.mac = [6]byte(a.Value)
			n.usable = state&usableStates != 0
		}
	}
	return k, n
}

// Link tells of a device by its number.
func (r *Router) Link(ifindex int) (Link, error) {
	if l, ok := r.links[ifindex]; ok {
		return l, nil
	}
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(ifindex)
	b, err := r.ask.do(unix.RTM_GETLINK, msg.Serialize())
	if err != nil {
		return Link{}, fmt.Errorf("look up link %d: %w", ifindex, err)
	}
	_, l := parseLink(b)
	r.links[ifindex] = l
	return l, nil
}

func parseLink(b []byte) (ifindex int, l Link) {
	if len(b) < sizeIfInfomsg {
		return 0, l
	}
	const up = unix.IFF_UP | unix.IFF_RUNNING
	msg := nl.DeserializeIfInfomsg(b)
	l.Up = msg.Flags&up == up
	below, elsewhere := 0, false
	for _, a := range attrs(b, sizeIfInfomsg) {
		switch {
		case a.Attr.Type == unix.IFLA_LINK:
			below = u32(a.Value)
		case a.Attr.Type == unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case a.Attr.Type == unix.IFLA_LINKINFO:
			l.VLAN = vlanOf(a.Value)
		case a.Attr.Type == unix.IFLA_IFNAME:
			l.Name = nl.BytesToString(a.Value)
		case a.Attr.Type == unix.IFLA_MTU:
			l.MTU = u32(a.Value)
		case a.Attr.Type == unix.IFLA_ADDRESS && len(a.Value) == 6:
			l.MAC = [6]byte(a.Value)
		}
	}
	if l.VLAN != 0 && (below == 0 || elsewhere) {
		l.VLAN = 0
	}
	if l.VLAN != 0 {
		l.Below = below
	}
	return int(msg.Index), l
}

// vlanOf is the identifier in an IFLA_LINKINFO of kind "vlan", 0 in others and where the tag is not 802.1Q's.
func vlanOf(info []byte) (id uint16) {
	var data []byte
	vlan := false
	for _, a := range attrs(info, 0) {
		switch a.Attr.Type {
		case unix.IFLA_INFO_KIND:
			vlan = nl.BytesToString(a.Value) == "vlan"
		case unix.IFLA_INFO_DATA:
			data = a.Value
		}
	}
	if !vlan {
		return 0
	}
	for _, a := range attrs(data, 0) {
		switch {
		case a.Attr.Type == nl.IFLA_VLAN_ID && len(a.Value) >= 2:
			id = nl.NativeEndian().Uint16(a.Value)
		case a.Attr.Type == nl.IFLA_VLAN_PROTOCOL && len(a.Value) >= 2 && binary.BigEndian.Uint16(a.Value) != unix.ETH_P_8021Q:
			return 0
		}
	}
	return id
}

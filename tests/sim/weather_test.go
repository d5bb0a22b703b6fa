package sim

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/sluice-net/sluice/ustack/wire"
)

// weather is what happens to the links, the devices and the routes while a plan runs. It ends after calm: from then on
// the links lose nothing, so that everything must come to an end.
type weather struct {
	w    *world
	p    *plan
	next int64 // when it changes next
	over bool
}

func (v *weather) alarm() int64 {
	if v.next == math.MaxInt64 {
		return 0
	}
	return v.next
}

// turn makes links, devices and routes as they are at this time.
func (v *weather) turn() {
	now := v.w.now - second
	if v.over || v.w.now < v.next {
		return
	}
	v.next = second + calm
	if now >= calm {
		v.end()
		return
	}
	for side, h := range v.w.host {
		h.nic.link, h.nic.narrow, h.nic.stuck, h.nic.deaf = v.p.Link[side], 0, false, false
		v.route(h, v.p.MTU, false)
	}
	for i := range v.p.Faults {
		f := &v.p.Faults[i]
		switch {
		case now < f.At:
			v.next = min(v.next, second+f.At)
		case now < f.At+f.For:
			v.next = min(v.next, second+f.At+f.For)
			v.strike(f)
		}
	}
	v.move()
}

// move lets transmit rings that were stuck go on.
func (v *weather) move() {
	for _, h := range v.w.host {
		if len(h.nic.tx) > 0 {
			_ = h.nic.Flush()
		}
	}
}

// end makes everything whole.
func (v *weather) end() {
	v.over, v.next = true, math.MaxInt64
	for side, h := range v.w.host {
		l := v.p.Link[side]
		h.nic.link = Link{Delay: l.Delay, Jitter: l.Jitter, Rate: l.Rate, Queue: max(l.Queue, 50)}
		h.nic.narrow, h.nic.stuck, h.nic.deaf = 0, false, false
		v.route(h, v.p.MTU, false)
	}
	v.move()
}

// route sets what a host's routes tell.
func (v *weather) route(h *host, mtu int, unresolved bool) {
	if h.routes.mtu != mtu || h.routes.unresolved != unresolved {
		h.routes.mtu, h.routes.unresolved = mtu, unresolved
		h.routes.gen++
	}
}

func (v *weather) strike(f *event) {
	h := v.w.host[f.Side]
	switch f.What {
	case "hole":
		h.nic.link.Loss = 1
	case "part":
		h.nic.link.Loss, h.peer.nic.link.Loss = 1, 1
	case "lossy":
		h.nic.link.Loss = float64(f.N) / 100
	case "slow":
		h.nic.link.Delay += f.N
	case "mtu": // a router in the middle, which says so
		h.nic.narrow = int(f.N)
		h.nic.tooBig = func(frame []byte) {
			v.w.put(packet{at: v.w.now + ms, to: h.nic, data: v.w.tooLarge(h, frame, int(f.N))})
			if s := v.w.watch.parse(frame); s != nil {
				s.f.half[f.Side].again.anew() // it is sent again, smaller, as soon as the message arrives
			}
		}
	case "narrow": // one that does not
		h.nic.narrow = int(f.N)
		h.nic.tooBig = func([]byte) { v.w.dropped++ }
	case "route":
		v.route(h, int(f.N), h.routes.unresolved)
	case "ring":
		h.nic.stuck = true
	case "deaf":
		h.nic.deaf = true
	case "neighbour":
		v.route(h, h.routes.mtu, true)
	default:
		v.w.t.Fatalf("no fault %q", f.What)
	}
}

// tooLarge is the ICMP message of a router about a frame that h sent: RFC 792 as of RFC 1191 §4, or RFC 4443 §3.2.
func (w *world) tooLarge(h *host, frame []byte, mtu int) []byte {
	e := wire.EthernetLen
	v4 := h.addr.Is4()
	var m []byte
	if v4 {
		m = append([]byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, frame[e:e+wire.IPv4Len+8]...)
		binary.BigEndian.PutUint16(m[2:], ^wire.Sum(m))
		out := make([]byte, e+wire.IPv4Len, 128)
		(&wire.EthernetFields{Dst: h.nic.info.MAC, Type: wire.TypeIPv4}).Put(out)
		(&wire.IPv4Fields{TTL: 64, Proto: wire.ProtoICMP, Src: netip.MustParseAddr("192.0.2.254"), Dst: h.addr, PayloadLen: len(m)}).Put(out[e:])
		return append(out, m...)
	}
	m = append([]byte{2, 0, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, frame[e:e+wire.IPv6Len+8]...)
	out := make([]byte, e+wire.IPv6Len, 160)
	(&wire.EthernetFields{Dst: h.nic.info.MAC, Type: wire.TypeIPv6}).Put(out)
	ip := out[e:]
	(&wire.IPv6Fields{HopLimit: 64, NextHeader: wire.ProtoICMPv6, Src: netip.MustParseAddr("2001:db8::fe"), Dst: h.addr, PayloadLen: len(m)}).Put(ip)
	binary.BigEndian.PutUint16(m[2:], ^wire.Add(wire.PseudoSum(wire.IPv6(ip).Addrs(), wire.ProtoICMPv6, len(m)), wire.Sum(m)))
	return append(out, m...)
}

package steer_test

import (
	"encoding/binary"
	"net/netip"
)

// model is steer.c's decision in Go, written from doc.go's rules, for a program with newRig's entries, a socket on queue 0
// and no kernel socket.
type model struct {
	mac      [6]byte
	addrs    [2]netip.Addr // this host's
	listener func(vlan uint16, local netip.AddrPort) (specific, wildcard bool)
	connect  func(vlan uint16, local, remote netip.AddrPort) bool
}

// decide is the reason a frame is counted under.
func (m *model) decide(b []byte, queue int) string {
	if len(b) < 14 {
		return "malformed"
	}
	typ, ip := binary.BigEndian.Uint16(b[12:]), b[14:]
	var vlan uint16
	if typ == 0x8100 {
		if len(ip) < 4 {
			return "malformed"
		}
		vlan, typ, ip = binary.BigEndian.Uint16(ip)&0xfff, binary.BigEndian.Uint16(ip[2:]), ip[4:]
	}
	switch {
	case typ != 0x0800 && typ != 0x86dd:
		return "not_tcp"
	case [6]byte(b[:6]) != m.mac:
		return "other_host"
	}
	var local, remote netip.AddrPort
	var icmp bool
	var why string
	if typ == 0x0800 {
		local, remote, icmp, why = m.ipv4(ip)
	} else {
		local, remote, icmp, why = m.ipv6(ip)
	}
	if why != "" {
		return why
	}
	specific, wildcard := m.listener(vlan, local)
	switch {
	case specific, m.connect(vlan, local, remote):
	case !wildcard, vlan != 0 && local.Addr().IsLinkLocalUnicast() && local.Addr().Is6():
		return "no_entry"
	}
	switch {
	case queue != 0:
		return "no_queue"
	case icmp:
		return "icmp_redirected"
	}
	return "redirected"
}

func (m *model) ipv4(p []byte) (local, remote netip.AddrPort, icmp bool, why string) {
	if len(p) < 20 {
		return local, remote, false, "malformed"
	}
	n := int(p[0]&15) * 4
	switch {
	case p[0]>>4 != 4 || n < 20:
		return local, remote, false, "malformed"
	case p[9] != 6 && p[9] != 1:
		return local, remote, false, "not_tcp"
	case binary.BigEndian.Uint16(p[6:])&0x3fff != 0:
		return local, remote, false, "fragment"
	}
	src, dst, l4 := netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:])), p[min(n, len(p)):]
	if p[9] == 6 {
		return segment(dst, src, l4)
	}
	return m.error4(l4)
}

func (m *model) error4(p []byte) (local, remote netip.AddrPort, icmp bool, why string) {
	switch {
	case len(p) < 8:
		return local, remote, false, "malformed"
	case p[0] != 3 && p[0] != 11 && p[0] != 12:
		return local, remote, false, "not_tcp"
	case len(p) < 28:
		return local, remote, false, "malformed"
	}
	q := p[8:]
	n := int(q[0]&15) * 4
	switch {
	case q[0]>>4 != 4 || n < 20:
		return local, remote, false, "malformed"
	case q[9] != 6 || binary.BigEndian.Uint16(q[6:])&0x1fff != 0:
		return local, remote, false, "not_tcp"
	}
	return quotedPorts(netip.AddrFrom4([4]byte(q[12:])), netip.AddrFrom4([4]byte(q[16:])), q[min(n, len(q)):])
}

func (m *model) ipv6(p []byte) (local, remote netip.AddrPort, icmp bool, why string) {
	if len(p) < 40 || p[0]>>4 != 6 {
		return local, remote, false, "malformed"
	}
	switch p[6] {
	case 6:
		return segment(netip.AddrFrom16([16]byte(p[24:])), netip.AddrFrom16([16]byte(p[8:])), p[40:])
	case 58:
	case 0, 43, 44, 50, 51, 60, 135:
		return local, remote, false, "extension_header"
	default:
		return local, remote, false, "not_tcp"
	}
	p = p[40:]
	switch {
	case len(p) < 8:
		return local, remote, false, "malformed"
	case p[0] < 1 || p[0] > 4:
		return local, remote, false, "not_tcp"
	case len(p) < 48:
		return local, remote, false, "malformed"
	case p[8+6] != 6:
		return local, remote, false, "not_tcp"
	}
	q := p[8:]
	return quotedPorts(netip.AddrFrom16([16]byte(q[8:])), netip.AddrFrom16([16]byte(q[24:])), q[40:])
}

func segment(dst, src netip.Addr, p []byte) (local, remote netip.AddrPort, icmp bool, why string) {
	if len(p) < 20 || p[12]>>4 < 5 {
		return local, remote, false, "malformed"
	}
	be := binary.BigEndian
	return netip.AddrPortFrom(dst, be.Uint16(p[2:])), netip.AddrPortFrom(src, be.Uint16(p)), false, ""
}

func quotedPorts(src, dst netip.Addr, p []byte) (local, remote netip.AddrPort, icmp bool, why string) {
	if len(p) < 4 {
		return local, remote, false, "malformed"
	}
	be := binary.BigEndian
	return netip.AddrPortFrom(src, be.Uint16(p)), netip.AddrPortFrom(dst, be.Uint16(p[2:])), true, ""
}

package ethtool

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Flow types of <linux/ethtool.h>.
const (
	FlowTCP4  uint32 = 0x01
	FlowUDP4  uint32 = 0x02
	FlowTCP6  uint32 = 0x05
	FlowUDP6  uint32 = 0x06
	FlowEther uint32 = 0x12

	flowExt uint32 = 0x80000000 // the extension holds a VLAN
	flowRSS uint32 = 0x20000000 // the rule leads to an RSS context
)

// Match is what a rule compares: values and masks of the packet's fields, laid out as the kernel's flow_spec unions. Bits set in a mask
// count. It is comparable.
type Match struct {
	Flow      uint32
	Value     [52]byte // union ethtool_flow_union h_u
	Mask      [52]byte // m_u
	VLAN      uint16   // tag control information, with VLANMask
	VLANMask  uint16
	EtherVLAN uint16 // type of the tag; 0: not compared
}

// Fields of struct ethtool_tcpip4_spec and ethtool_tcpip6_spec: source, destination, source port, destination port.
func offsets(flow uint32) (src, dst, size, sport, dport int) {
	if flow == FlowTCP4 || flow == FlowUDP4 {
		return 0, 4, 4, 8, 10
	}
	return 0, 16, 16, 32, 34
}

// IP starts a match of a protocol's packets in a family, all of them.
func IP(udp, six bool) Match {
	switch {
	case udp && six:
		return Match{Flow: FlowUDP6}
	case udp:
		return Match{Flow: FlowUDP4}
	case six:
		return Match{Flow: FlowTCP6}
	}
	return Match{Flow: FlowTCP4}
}

// Ether starts a match of every frame.
func Ether() Match { return Match{Flow: FlowEther} }

// To narrows a match to a destination address.
func (m Match) To(ip netip.Addr) Match {
	_, dst, size, _, _ := offsets(m.Flow)
	return m.bytes(dst, ip.AsSlice()[:size])
}

// From narrows a match to a source address.
func (m Match) From(ip netip.Addr) Match {
	src, _, size, _, _ := offsets(m.Flow)
	return m.bytes(src, ip.AsSlice()[:size])
}

// ToPort narrows a match to a destination port.
func (m Match) ToPort(port uint16) Match {
	_, _, _, _, dport := offsets(m.Flow)
	return m.bytes(dport, binary.BigEndian.AppendUint16(nil, port))
}

// FromPort narrows a match to a source port.
func (m Match) FromPort(port uint16) Match {
	_, _, _, sport, _ := offsets(m.Flow)
	return m.bytes(sport, binary.BigEndian.AppendUint16(nil, port))
}

// LooksAtPort tells whether a match of a protocol's packets is narrowed to a destination port.
func (m Match) LooksAtPort() bool {
	_, _, _, _, dport := offsets(m.Flow)
	return m.Flow != FlowEther && m.Mask[dport] != 0
}

// ToMAC narrows a match of frames to a destination, as far as the mask's bits go.
func (m Match) ToMAC(mac, mask [6]byte) Match {
	copy(m.Value[:6], mac[:])
	copy(m.Mask[:6], mask[:])
	return m
}

// OnVLAN narrows a match to a VLAN.
func (m Match) OnVLAN(id uint16) Match {
	m.VLAN, m.VLANMask = id, 0xfff
	return m
}

func (m Match) bytes(at int, v []byte) Match {
	copy(m.Value[at:], v)
	for i := range v {
		m.Mask[at+i] = 0xff
	}
	return m
}

// Fits tells whether a packet, given as a match with all its values, matches.
func (m Match) Fits(p Match) bool {
	whole := m
	whole.Value = p.Value
	for i := range p.Value {
		whole.Mask[i] = 0xff
	}
	whole.VLAN, whole.VLANMask = p.VLAN, 0xffff
	whole.Flow = p.Flow
	return m.Overlaps(whole) && (m.Flow == p.Flow || m.Mask == [52]byte{})
}

// Overlaps tells whether some packet fits both matches. It may say so of two that no packet fits, never the other way round.
func (m Match) Overlaps(o Match) bool {
	if m.Flow != o.Flow && m.Flow != FlowEther && o.Flow != FlowEther {
		return false
	}
	if both := m.VLANMask & o.VLANMask; m.VLAN&both != o.VLAN&both {
		return false
	}
	if m.Flow != o.Flow {
		return true
	}
	for i := range m.Value {
		if both := m.Mask[i] & o.Mask[i]; m.Value[i]&both != o.Value[i]&both {
			return false
		}
	}
	return true
}

// String writes the match as ethtool(8) has it after flow-type.
func (m Match) String() string {
	var b strings.Builder
	b.WriteString(map[uint32]string{FlowTCP4: "tcp4", FlowUDP4: "udp4", FlowTCP6: "tcp6", FlowUDP6: "udp6", FlowEther: "ether"}[m.Flow])
	if b.Len() == 0 {
		fmt.Fprintf(&b, "flow-type-%#x", m.Flow)
	}
	if m.Flow == FlowEther {
		if m.Mask != ([52]byte{}) {
			fmt.Fprintf(&b, " dst %x m %x", m.Value[:6], m.Mask[:6])
		}
	} else {
		m.writeIP(&b)
	}
	if m.VLANMask != 0 {
		fmt.Fprintf(&b, " vlan %d", m.VLAN&m.VLANMask)
	}
	return b.String()
}

func (m Match) writeIP(b *strings.Builder) {
	src, dst, size, sport, dport := offsets(m.Flow)
	for _, f := range []struct {
		name     string
		at, size int
	}{{"src-ip", src, size}, {"dst-ip", dst, size}, {"src-port", sport, 2}, {"dst-port", dport, 2}} {
		mask := m.Mask[f.at : f.at+f.size]
		if strings.Trim(string(mask), "\x00") == "" {
			continue
		}
		v := m.Value[f.at : f.at+f.size]
		if f.size == 2 {
			fmt.Fprintf(b, " %s %d", f.name, binary.BigEndian.Uint16(v))
		} else {
			ip, _ := netip.AddrFromSlice(v)
			fmt.Fprintf(b, " %s %v", f.name, ip)
		}
		if strings.Trim(string(mask), "\xff") != "" {
			fmt.Fprintf(b, " m %x", mask)
		}
	}
}

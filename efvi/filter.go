package efvi

import (
	"fmt"
	"net/netip"
)

// Protocol is an IP protocol number that filters know.
type Protocol uint8

// The protocols with ports.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("proto%d", uint8(p))
}

// FilterKind is the shape of a filter: which fields of a packet it looks at.
type FilterKind uint8

// The kinds of EF_VI's ef_filter_spec that a device can be asked for in Linux's terms.
const (
	FilterIPLocal      FilterKind = iota + 1 // protocol, local address, local port
	FilterIPFull                             // the same with the remote end
	FilterEthLocal                           // destination MAC
	FilterUnicastAll                         // every frame to a single station
	FilterMulticastAll                       // every frame to a group
	FilterEthType                            // the type of an Ethernet frame
	FilterAll                                // every frame
)

// FilterSpec says which received packets a VI or a VI set gets. The zero value is no filter; make one with IPLocal, IPFull, EthLocal,
// UnicastAll, MulticastAll, EthType or All. It is comparable, so that it can be a map's key.
type FilterSpec struct {
	Kind   FilterKind
	Proto  Protocol
	Local  netip.AddrPort // an unspecified address stands for every one of its family
	Remote netip.AddrPort
	MAC    [6]byte
	Type   uint16 // of Ethernet
	Tagged bool   // VLAN counts
	VLAN   uint16 // 0 to 4095, the identifier of an 802.1Q tag
}

// IPLocal takes what goes to an address and port, from anywhere: a listener's packets.
func IPLocal(p Protocol, local netip.AddrPort) FilterSpec {
	return FilterSpec{Kind: FilterIPLocal, Proto: p, Local: unmap(local)}
}

// IPFull takes the packets of one connection.
func IPFull(p Protocol, local, remote netip.AddrPort) FilterSpec {
	return FilterSpec{Kind: FilterIPFull, Proto: p, Local: unmap(local), Remote: unmap(remote)}
}

// EthLocal takes what goes to a MAC address.
func EthLocal(mac [6]byte) FilterSpec { return FilterSpec{Kind: FilterEthLocal, MAC: mac} }

// UnicastAll takes every frame to a single station.
func UnicastAll() FilterSpec { return FilterSpec{Kind: FilterUnicastAll} }

// MulticastAll takes every frame to a group of stations, broadcast included.
func MulticastAll() FilterSpec { return FilterSpec{Kind: FilterMulticastAll} }

// EthType takes the frames of an Ethernet type, which is not 0: of one below a VLAN tag, with OnVLAN.
func EthType(t uint16) FilterSpec { return FilterSpec{Kind: FilterEthType, Type: t} }

// All takes every frame.
func All() FilterSpec { return FilterSpec{Kind: FilterAll} }

// OnVLAN narrows a filter to frames with this 802.1Q identifier.
func (s FilterSpec) OnVLAN(id uint16) FilterSpec {
	s.Tagged, s.VLAN = true, id&0xfff
	return s
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Check says what is wrong with a filter, nil if nothing is.
func (s FilterSpec) Check() error {
	switch s.Kind {
	case FilterEthLocal, FilterUnicastAll, FilterMulticastAll, FilterAll:
		return nil
	case FilterEthType:
		if s.Type == 0 {
			return fmt.Errorf("filter %v: needs a type", s)
		}
		return nil
	case FilterIPLocal, FilterIPFull:
	default:
		return fmt.Errorf("filter of kind %d", s.Kind)
	}
	switch {
	case s.Proto != TCP && s.Proto != UDP:
		return fmt.Errorf("filter %v: only tcp and udp have ports", s)
	case !s.Local.Addr().IsValid() || s.Local.Port() == 0:
		return fmt.Errorf("filter %v: needs a local address and port", s)
	case s.Kind == FilterIPLocal:
		return nil
	case !s.Remote.IsValid() || s.Remote.Port() == 0 || s.Remote.Addr().IsUnspecified() || s.Local.Addr().IsUnspecified():
		return fmt.Errorf("filter %v: needs both ends whole", s)
	case s.Remote.Addr().Is4() != s.Local.Addr().Is4():
		return fmt.Errorf("filter %v: ends of two families", s)
	}
	return nil
}

func (s FilterSpec) String() string {
	var text string
	switch s.Kind {
	case FilterIPLocal:
		text = fmt.Sprintf("%v to %v", s.Proto, s.Local)
	case FilterIPFull:
		text = fmt.Sprintf("%v %v to %v", s.Proto, s.Remote, s.Local)
	case FilterEthLocal:
		text = fmt.Sprintf("ether to %x", s.MAC)
	case FilterUnicastAll:
		text = "all unicast"
	case FilterMulticastAll:
		text = "all multicast"
	case FilterEthType:
		text = fmt.Sprintf("ether type %#04x", s.Type)
	case FilterAll:
		text = "all"
	default:
		text = "no filter"
	}
	if s.Tagged {
		text += fmt.Sprintf(" on vlan %d", s.VLAN)
	}
	return text
}

package hidden

import (
	"net/netip"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/efvi"
)

// ladder is how a filter can be asked for, best first. Each step is a set of rules that together catch at least what the filter does: the
// filter itself; narrower rules, one for each local address, where a card can't leave the address out; wider ones that look at less.
func ladder(s efvi.FilterSpec, locals []netip.Addr) [][]ethtool.Match {
	var steps [][]ethtool.Match
	switch s.Kind {
	case efvi.FilterIPLocal, efvi.FilterIPFull:
		steps = ipLadder(s, locals)
	case efvi.FilterEthLocal:
		steps = one(ethtool.Ether().ToMAC(s.MAC, [6]byte{255, 255, 255, 255, 255, 255}))
	case efvi.FilterUnicastAll:
		steps = one(ethtool.Ether().ToMAC([6]byte{}, [6]byte{1}))
	case efvi.FilterMulticastAll:
		steps = one(ethtool.Ether().ToMAC([6]byte{1}, [6]byte{1}))
	case efvi.FilterEthType, efvi.FilterAll: // ethtool's rules look at no type; the XDP program does
		steps = one(ethtool.Ether())
	}
	if !s.Tagged {
		return steps
	}
	return append(onVLAN(steps, s.VLAN), steps...)
}

func one(m ethtool.Match) [][]ethtool.Match { return [][]ethtool.Match{{m}} }

func ipLadder(s efvi.FilterSpec, locals []netip.Addr) [][]ethtool.Match {
	local, port := s.Local.Addr(), s.Local.Port()
	all := ethtool.IP(s.Proto == efvi.UDP, local.Is6())
	var steps [][]ethtool.Match
	if s.Kind == efvi.FilterIPFull {
		full := all.From(s.Remote.Addr()).FromPort(s.Remote.Port()).To(local).ToPort(port)
		steps = append(steps, []ethtool.Match{full})
	}
	if !local.IsUnspecified() {
		return append(steps, []ethtool.Match{all.To(local).ToPort(port)}, []ethtool.Match{all.ToPort(port)}, []ethtool.Match{all.To(local)}, []ethtool.Match{all})
	}
	steps = append(steps, []ethtool.Match{all.ToPort(port)})
	var each []ethtool.Match
	for _, a := range locals {
		if a.Is6() == local.Is6() {
			each = append(each, all.To(a).ToPort(port))
		}
	}
	if len(each) > 0 {
		steps = append(steps, each)
	}
	return append(steps, []ethtool.Match{all})
}

func onVLAN(steps [][]ethtool.Match, id uint16) [][]ethtool.Match {
	var out [][]ethtool.Match
	for _, step := range steps {
		var tagged []ethtool.Match
		for _, m := range step {
			tagged = append(tagged, m.OnVLAN(id))
		}
		out = append(out, tagged)
	}
	return out
}

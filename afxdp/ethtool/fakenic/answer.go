package fakenic

import (
	"encoding/binary"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
)

var order = binary.NativeEndian

// Offsets in struct ethtool_rxnfc.
const (
	rxnfcData     = 8
	rxnfcCount    = 184
	rxnfcLocs     = 188
	rxnfcLocation = 176
	locSpecial    = 0x80000000
)

// Length is how long the structure is that starts with these bytes, at least as many as ethtool(8) sends of any kind (192).
func Length(head []byte) int {
	switch order.Uint32(head) {
	case unix.ETHTOOL_GRXCLSRLALL:
		return ethtool.RuleSize + 4*int(order.Uint32(head[rxnfcCount:]))
	case unix.ETHTOOL_GRSSH, unix.ETHTOOL_SRSSH:
		entries := order.Uint32(head[rxfhIndir:])
		if entries == noChange {
			entries = 0
		}
		return rxfhTable + 4*int(entries) + int(order.Uint32(head[rxfhKey:]))
	case unix.ETHTOOL_GRXRINGS, unix.ETHTOOL_GRXCLSRLCNT, unix.ETHTOOL_GRXCLSRULE, unix.ETHTOOL_SRXCLSRLINS, unix.ETHTOOL_SRXCLSRLDEL:
		return ethtool.RuleSize
	}
	return 4
}

func (n *NIC) count(req []byte) error {
	order.PutUint32(req[rxnfcCount:], uint32(len(n.rules)))
	data := uint64(n.Model.Rules)
	if n.Special {
		data |= locSpecial
	}
	order.PutUint64(req[rxnfcData:], data)
	return nil
}

func (n *NIC) all(req []byte) error {
	at := slices.Sorted(maps.Keys(n.rules))
	if int(order.Uint32(req[rxnfcCount:])) < len(at) {
		return unix.EMSGSIZE
	}
	for i, loc := range at {
		order.PutUint32(req[rxnfcLocs+4*i:], loc)
	}
	order.PutUint32(req[rxnfcCount:], uint32(len(at)))
	order.PutUint64(req[rxnfcData:], uint64(n.Model.Rules))
	return nil
}

func (n *NIC) rule(req []byte) error {
	r, ok := n.rules[order.Uint32(req[rxnfcLocation:])]
	if !ok {
		return unix.ENOENT
	}
	r.Encode(req)
	order.PutUint32(req, unix.ETHTOOL_GRXCLSRULE)
	return nil
}

func (n *NIC) insert(req []byte) error {
	r := ethtool.Decode(req)
	if err := n.takes(r); err != nil {
		return err
	}
	if r.Location == ethtool.AnyLocation {
		if !n.Special {
			return unix.EINVAL
		}
		r.Location = 0
		for _, taken := n.rules[r.Location]; taken; _, taken = n.rules[r.Location] {
			r.Location++
		}
	}
	_, replaces := n.rules[r.Location]
	if !replaces && len(n.rules) >= n.Model.Rules || r.Location >= uint32(n.Model.Rules) {
		return unix.ENOSPC
	}
	n.rules[r.Location] = r
	order.PutUint32(req[rxnfcLocation:], r.Location)
	return nil
}

// takes says whether the hardware can do a rule.
func (n *NIC) takes(r ethtool.Rule) error {
	table, known := n.contexts[r.Context]
	switch {
	case r.Context != 0 && (!known || len(table) == 0):
		return unix.EINVAL
	case r.Context != 0 && r.Queue != 0: // added to what the table says, by few drivers (cap_rss_rxnfc_adds); a drop is not spread
		return unix.EINVAL
	case r.Queue != ethtool.Discard && r.Queue >= uint64(n.Rings):
		return unix.EINVAL
	case n.NoVLAN && r.VLANMask != 0:
		return unix.EOPNOTSUPP
	case n.AllMask && (r.Flow == ethtool.FlowEther || !whole(r.Match)):
		return unix.EOPNOTSUPP
	}
	for at, o := range n.rules {
		if at != r.Location && o.Match == r.Match {
			return unix.EEXIST
		}
		if n.OneMask && at != r.Location && (o.Mask != r.Mask || o.VLANMask != r.VLANMask) {
			return unix.EINVAL
		}
	}
	return nil
}

// whole: addresses and ports of both ends count.
func whole(m ethtool.Match) bool {
	size := 36
	if m.Flow == ethtool.FlowTCP4 || m.Flow == ethtool.FlowUDP4 {
		size = 12
	}
	return !slices.ContainsFunc(m.Mask[:size], func(b byte) bool { return b != 0xff })
}

func (n *NIC) remove(req []byte) error {
	at := order.Uint32(req[rxnfcLocation:])
	if _, ok := n.rules[at]; !ok {
		return unix.ENOENT
	}
	delete(n.rules, at)
	return nil
}

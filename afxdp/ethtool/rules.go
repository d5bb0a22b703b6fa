package ethtool

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// struct ethtool_rxnfc, and struct ethtool_rx_flow_spec within it: offsets in bytes on 64-bit machines.
const (
	rxnfcFlow    = 4
	rxnfcData    = 8
	rxnfcSpec    = 16
	rxnfcCount   = 184 // rule_cnt, or rss_context
	rxnfcLocs    = 188
	sizeRxnfc    = RuleSize
	specValue    = rxnfcSpec + 4
	specExt      = specValue + 52
	specMask     = specExt + 20
	specMaskExt  = specMask + 52
	specCookie   = rxnfcSpec + 152
	specLocation = rxnfcSpec + 160
	extEtherVLAN = 8 // in struct ethtool_flow_ext
	extVLAN      = 10
)

// RuleSize is the size of struct ethtool_rxnfc without locations, in bytes, C's padding included.
const RuleSize = 192

// Values of ring_cookie and location.
const (
	Discard     uint64 = ^uint64(0) // RX_CLS_FLOW_DISC: drop what matches
	AnyLocation uint32 = 0xffffffff // RX_CLS_LOC_ANY: the driver chooses

	locSpecial = 0x80000000 // RX_CLS_LOC_SPECIAL, in GRXCLSRLCNT's answer
)

// Rule steers what matches to a receive queue.
type Rule struct {
	Match
	Queue    uint64 // or Discard; with Context the offset into its table
	Context  uint32 // RSS context, 0: none
	Location uint32 // place in the device's table: on drivers with places of their own a lower one wins
}

func (r Rule) String() string {
	if r.Context != 0 {
		return fmt.Sprintf("%v context %d", r.Match, r.Context)
	}
	if r.Queue == Discard {
		return fmt.Sprintf("%v action -1", r.Match)
	}
	return fmt.Sprintf("%v action %d", r.Match, r.Queue)
}

// RuleTable tells how many rules a device has, and whether its driver chooses their places. The error is EOPNOTSUPP where there are none.
func (n NIC) RuleTable() (count int, special bool, err error) {
	r := newRequest(unix.ETHTOOL_GRXCLSRLCNT, sizeRxnfc)
	if err := n.do("rule count", r); err != nil {
		return 0, false, err
	}
	return int(r.u32(rxnfcCount)), r.u64(rxnfcData)&locSpecial != 0, nil
}

// Locations are the places in use, and how many there are (0: the driver does not say).
func (n NIC) Locations(count int) (used []uint32, size int, err error) {
	r := newRequest(unix.ETHTOOL_GRXCLSRLALL, sizeRxnfc+4*count)
	r.put32(rxnfcCount, uint32(count))
	if err := n.do("rules", r); err != nil {
		return nil, 0, err
	}
	for i := range min(count, int(r.u32(rxnfcCount))) {
		used = append(used, r.u32(rxnfcLocs+4*i))
	}
	return used, int(r.u64(rxnfcData)), nil
}

// Rule reads the rule at a place.
func (n NIC) Rule(location uint32) (Rule, error) {
	r := newRequest(unix.ETHTOOL_GRXCLSRULE, sizeRxnfc)
	r.put32(specLocation, location)
	if err := n.do("rule", r); err != nil {
		return Rule{}, err
	}
	return Decode(r), nil
}

// Rules reads them all. A rule that goes away meanwhile is left out.
func (n NIC) Rules() ([]Rule, error) {
	count, _, err := n.RuleTable()
	if err != nil {
		return nil, err
	}
	used, _, err := n.Locations(count)
	if err != nil {
		return nil, err
	}
	var out []Rule
	for _, at := range used {
		r, err := n.Rule(at)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Insert adds a rule, and returns the place it got. With AnyLocation on a device whose driver does not choose it takes the last place that
// is free, as ethtool(8) does: an administrator's rules, at lower places, win.
func (n NIC) Insert(r Rule) (uint32, error) {
	if r.Location == AnyLocation {
		at, err := n.place()
		if err != nil {
			return 0, err
		}
		r.Location = at
	}
	q := r.request()
	if err := n.do("insert rule "+r.String(), q); err != nil {
		return 0, err
	}
	return q.u32(specLocation), nil
}

func (n NIC) place() (uint32, error) {
	count, special, err := n.RuleTable()
	if err != nil || special {
		return AnyLocation, err
	}
	used, size, err := n.Locations(count)
	if err != nil {
		return 0, err
	}
	taken := map[uint32]bool{}
	for _, u := range used {
		taken[u] = true
	}
	for at := size - 1; at >= 0; at-- {
		if !taken[uint32(at)] {
			return uint32(at), nil
		}
	}
	return 0, fmt.Errorf("ethtool insert rule on %s: %w", n.Name, unix.ENOSPC)
}

// Delete removes the rule at a place.
func (n NIC) Delete(location uint32) error {
	r := newRequest(unix.ETHTOOL_SRXCLSRLDEL, sizeRxnfc)
	r.put32(specLocation, location)
	return n.do("delete rule", r)
}

// request is the rule as ETHTOOL_SRXCLSRLINS wants it.
func (r Rule) request() request {
	q := newRequest(unix.ETHTOOL_SRXCLSRLINS, sizeRxnfc)
	r.Encode(q)
	return q
}

// Encode writes the rule into a struct ethtool_rxnfc of RuleSize bytes; its command stays.
func (r Rule) Encode(b []byte) {
	q, flow := request(b), r.Flow
	copy(q[specValue:], r.Value[:])
	copy(q[specMask:], r.Mask[:])
	if r.VLANMask != 0 || r.EtherVLAN != 0 {
		flow |= flowExt
		putExt(q[specExt:], r.EtherVLAN, r.VLAN)
		putExt(q[specMaskExt:], ones(r.EtherVLAN), r.VLANMask)
	}
	if r.Context != 0 {
		flow |= flowRSS
		q.put32(rxnfcCount, r.Context)
	}
	q.put32(rxnfcSpec, flow)
	q.put64(specCookie, r.Queue)
	q.put32(specLocation, r.Location)
}

func ones(v uint16) uint16 {
	if v == 0 {
		return 0
	}
	return 0xffff
}

func putExt(ext []byte, etherType, vlan uint16) {
	putBig16(ext[extEtherVLAN:], etherType)
	putBig16(ext[extVLAN:], vlan)
}

// Decode reads the rule that a struct ethtool_rxnfc of RuleSize bytes holds.
func Decode(b []byte) Rule {
	q := request(b)
	flow := q.u32(rxnfcSpec)
	r := Rule{Match: Match{Flow: flow &^ (flowExt | flowRSS)}, Queue: q.u64(specCookie), Location: q.u32(specLocation)}
	copy(r.Value[:], q[specValue:])
	copy(r.Mask[:], q[specMask:])
	if flow&flowExt != 0 {
		r.VLANMask, r.EtherVLAN = big16(q[specMaskExt+extVLAN:]), big16(q[specExt+extEtherVLAN:])
		r.VLAN = big16(q[specExt+extVLAN:]) & r.VLANMask
	}
	if flow&flowRSS != 0 {
		r.Context = q.u32(rxnfcCount)
	}
	return r
}

func putBig16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }
func big16(b []byte) uint16       { return uint16(b[0])<<8 | uint16(b[1]) }

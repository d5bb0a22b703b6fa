// Package eth is the Ethernet layer: which frames are for us, and the header of those we send.
package eth

import "github.com/sluice-net/sluice/ustack/wire"

// Counters are what the layer refused, in frames. The kernel keeps them per device, not in its MIB.
type Counters struct {
	Short      uint64 // no whole header
	OtherHost  uint64 // unicast to somebody else (the device is promiscuous), or broadcast: TCP is unicast only
	OtherVLAN  uint64 // tagged for another VLAN than the link's, or than its answers leave by, or not tagged where there is one
	OtherProto uint64 // neither IPv4 nor IPv6
}

// Layer checks frames of all devices of a stack.
type Layer struct{ Counters Counters }

// Input returns type and payload of a frame for the device with that MAC, on a link of that VLAN, false when it is not for us. A link without
// one (0) may carry the frames of several: the tag that is returned tells of which; a tag that tells only a priority is ignored, as 802.1Q has it.
func (l *Layer) Input(frame []byte, mac [6]byte, vlan uint16) (tag, typ uint16, payload []byte, ok bool) {
	e, err := wire.ParseEthernet(frame)
	if err != nil {
		l.Counters.Short++
		return 0, 0, nil, false
	}
	if e.Dst() != mac {
		l.Counters.OtherHost++
		return 0, 0, nil, false
	}
	id, t, payload, err := e.Untag()
	if err != nil {
		l.Counters.Short++
		return 0, 0, nil, false
	}
	if vlan != 0 && id != vlan {
		l.Counters.OtherVLAN++
		return 0, 0, nil, false
	}
	if t != wire.TypeIPv4 && t != wire.TypeIPv6 {
		l.Counters.OtherProto++
		return 0, 0, nil, false
	}
	return id - vlan, t, payload, true
}

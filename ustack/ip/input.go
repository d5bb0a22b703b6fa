// Package ip is the Internet layer of both versions: it checks what comes in, writes headers of what goes out, and
// reads what ICMP says about a connection. It neither forwards, fragments nor reassembles: packets that would need it
// stay with the kernel.
package ip

import (
	"errors"
	"net/netip"

	"github.com/sluice-net/sluice/ustack/wire"
)

// ECN code points, RFC 3168 §5.
const (
	NotECT = 0
	ECT1   = 1
	ECT0   = 2
	CE     = 3
)

// Layer is the state of the Internet layer: only counters.
type Layer struct{ Counters Counters }

// Packet is a checked incoming packet.
type Packet struct {
	Proto   uint8
	ECN     uint8
	TTL     uint8  // or hop limit
	Pseudo  uint16 // sum of the pseudo-header of Payload and what follows it, see wire.ChecksumOK
	More    int    // bytes that follow Payload, in other frames
	Payload []byte
	Raw     []byte // the whole packet, as far as it lies in one frame
}

// Is4 tells the version.
func (p *Packet) Is4() bool { return p.Raw[0]>>4 == 4 }

// Src is the source address.
func (p *Packet) Src() netip.Addr {
	if p.Is4() {
		return wire.IPv4(p.Raw).Src()
	}
	return wire.IPv6(p.Raw).Src()
}

// Dst is the destination address.
func (p *Packet) Dst() netip.Addr {
	if p.Is4() {
		return wire.IPv4(p.Raw).Dst()
	}
	return wire.IPv6(p.Raw).Dst()
}

// Input checks a packet of that EtherType, of which more bytes lie elsewhere than in b, and fills p; false when it is dropped (and
// counted).
func (l *Layer) Input(typ uint16, b []byte, more int, p *Packet) bool {
	l.Counters.InReceives++
	l.Counters.InOctets += uint64(len(b) + more)
	if typ == wire.TypeIPv4 {
		return l.input4(b, more, p)
	}
	return l.input6(b, more, p)
}

func (l *Layer) input4(b []byte, more int, p *Packet) bool {
	h, err := wire.ParseIPv4Part(b, more)
	if err != nil {
		l.refuse(err)
		return false
	}
	if h.Fragment() {
		l.Counters.ReasmFails++
		return false
	}
	// RFC 1122 §3.2.2 asks for options; a source route would make the pseudo-header's destination another one, and
	// Linux too drops source-routed packets unless told otherwise.
	if h.HeaderLen() != wire.IPv4Len && sourceRouted(h[wire.IPv4Len:h.HeaderLen()]) {
		l.Counters.InHdrErrors++
		return false
	}
	p.Proto, p.ECN, p.TTL, p.Payload, p.Raw, p.More = h.Proto(), h.TOS()&3, h.TTL(), h.Payload(), h, h.TotalLen()-len(h)
	p.Pseudo = wire.PseudoSum(h.Addrs(), p.Proto, len(p.Payload)+p.More)
	return l.addresses(p, unicast4(h[12]) && unicast4(h[16]))
}

func (l *Layer) input6(b []byte, more int, p *Packet) bool {
	h, err := wire.ParseIPv6Part(b, more)
	if err != nil {
		l.refuse(err)
		return false
	}
	p.Proto, p.ECN, p.TTL, p.Payload, p.Raw, p.More = h.NextHeader(), h.TrafficClass()&3, h.HopLimit(), h.Payload(), h, h.TotalLen()-len(h)
	p.Pseudo = wire.PseudoSum(h.Addrs(), p.Proto, len(p.Payload)+p.More)
	return l.addresses(p, unicast6(h.Src()) && unicast6(h.Dst()))
}

func (l *Layer) refuse(err error) {
	if errors.Is(err, wire.ErrShort) {
		l.Counters.InTruncatedPkts++
	} else {
		l.Counters.InHdrErrors++
	}
}

// addresses drops packets that no peer of a connection can have sent.
//
// "A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a broadcast or multicast
// address." RFC 9293 §3.9.2.3, MUST-57; the source likewise, MUST-63.
func (l *Layer) addresses(p *Packet, unicast bool) bool {
	if !unicast {
		l.Counters.InAddrErrors++
		return false
	}
	switch p.ECN {
	case NotECT:
		l.Counters.InNoECTPkts++
	case ECT1:
		l.Counters.InECT1Pkts++
	case ECT0:
		l.Counters.InECT0Pkts++
	case CE:
		l.Counters.InCEPkts++
	}
	return true
}

// unicast4 looks at the first octet of an address: it is neither of "this network" nor of loopback, multicast or reserved.
func unicast4(first byte) bool { return first != 0 && first != 127 && first < 224 }

func unicast6(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && !a.Is4In6() && !a.IsLoopback()
}

// sourceRouted looks for a loose or strict source route (RFC 791 §3.1, kinds 131 and 137), or options nobody can read.
func sourceRouted(opt []byte) bool {
	for len(opt) > 0 && opt[0] != 0 {
		if opt[0] == 1 {
			opt = opt[1:]
			continue
		}
		if opt[0] == 131 || opt[0] == 137 || len(opt) < 2 || opt[1] < 2 || int(opt[1]) > len(opt) {
			return true
		}
		opt = opt[opt[1]:]
	}
	return false
}

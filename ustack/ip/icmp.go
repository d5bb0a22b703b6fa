package ip

import (
	"encoding/binary"
	"net/netip"

	"github.com/sluice-net/sluice/ustack/wire"
)

// ErrorKind is what an ICMP error means to a connection, as Linux' icmp_err_convert and icmpv6_err_convert sort them.
type ErrorKind uint8

// Kinds of error.
const (
	ErrNone     ErrorKind = iota
	ErrTooBig             // MTU tells the path's
	ErrNet                // ENETUNREACH
	ErrHost               // EHOSTUNREACH
	ErrProto              // ENOPROTOOPT
	ErrPort               // ECONNREFUSED
	ErrOpNotSup           // EOPNOTSUPP
	ErrHostDown           // EHOSTDOWN
	ErrNoNet              // ENONET
	ErrAccess             // EACCES
	ErrParam              // EPROTO
)

// Unreach is what an ICMP error says about a segment of ours.
type Unreach struct {
	Local, Remote netip.AddrPort // as seen from the connection: Local sent the quoted segment
	Seq           uint32         // its sequence number, to be checked against what is in flight (RFC 5927 §4.1)
	Kind          ErrorKind
	Hard          bool // Linux' "fatal": ends a connection attempt even if others may follow
	NoWay         bool // a router had no way at that moment: what RFC 6069 listens to
	Forget        bool // a half-open connection is forgotten (the kernel's tcp_req_err)
	MTU           int  // for ErrTooBig: bytes of IP packet; 0 from a router that does not say
}

// Error reads an ICMP packet; false when it is no error about a TCP segment.
func (l *Layer) Error(p *Packet, u *Unreach) bool {
	l.Counters.IcmpInMsgs++
	m, err := wire.ParseICMP(p.Payload)
	if err != nil {
		l.Counters.IcmpInErrors++
		return false
	}
	pseudo := p.Pseudo
	if p.Proto == wire.ProtoICMP {
		pseudo = 0
	}
	if !wire.ChecksumOK(m, pseudo, m.Checksum(), false) {
		l.Counters.IcmpInErrors++
		l.Counters.IcmpInCsumErrors++
		return false
	}
	*u = Unreach{}
	if p.Proto == wire.ProtoICMP {
		sort4(m, u)
	} else {
		sort6(m, u)
	}
	if u.Kind == ErrNone || !quoted(m.Quoted(), p.Proto == wire.ProtoICMP, u) {
		return false
	}
	l.Counters.IcmpInDestUnreachs++
	return true
}

// unreach4 is the kernel's icmp_err_convert, by code of "destination unreachable".
var unreach4 = [16]struct {
	kind ErrorKind
	hard bool
}{
	{ErrNet, false}, {ErrHost, false}, {ErrProto, true}, {ErrPort, true}, {ErrTooBig, false}, {ErrOpNotSup, false},
	{ErrNet, true}, {ErrHostDown, true}, {ErrNoNet, true}, {ErrNet, true}, {ErrHost, true}, {ErrNet, false},
	{ErrHost, false}, {ErrHost, true}, {ErrHost, true}, {ErrHost, true},
}

func sort4(m wire.ICMP, u *Unreach) {
	switch m.Type() {
	case wire.ICMPUnreach:
		if int(m.Code()) < len(unreach4) {
			u.Kind, u.Hard = unreach4[m.Code()].kind, unreach4[m.Code()].hard
			u.NoWay = m.Code() <= 1 // net, host
			u.Forget = u.NoWay
		}
		if u.Kind == ErrTooBig {
			u.MTU = m.MTU4()
		}
	case wire.ICMPTimeExceed:
		u.Kind, u.Forget = ErrHost, true
	case wire.ICMPParamProb:
		u.Kind, u.Hard, u.Forget = ErrParam, true, true
	}
}

// unreach6 is the kernel's tab_unreach, by code of "destination unreachable".
var unreach6 = [7]struct {
	kind ErrorKind
	hard bool
}{{ErrNet, false}, {ErrAccess, true}, {ErrHost, false}, {ErrHost, false}, {ErrPort, true}, {ErrAccess, true}, {ErrAccess, true}}

func sort6(m wire.ICMP, u *Unreach) {
	switch m.Type() {
	case wire.ICMPv6Unreach:
		u.Kind = ErrParam
		if int(m.Code()) < len(unreach6) {
			u.Kind, u.Hard = unreach6[m.Code()].kind, unreach6[m.Code()].hard
			u.NoWay = m.Code() == 0 // no route
		}
	case wire.ICMPv6TooBig:
		// A forged MTU cannot shrink segments below the version's least one; Linux clamps likewise.
		u.Kind, u.MTU = ErrTooBig, int(min(m.MTU6(), 1<<20))
	case wire.ICMPv6TimeExc:
		u.Kind = ErrHost
	case wire.ICMPv6ParamProb:
		u.Kind, u.Hard = ErrParam, true
	}
	u.Forget = u.Hard
}

// quoted reads addresses, ports and sequence number of the packet that an error is about. It is a piece, so its length
// fields and checksums say nothing.
func quoted(b []byte, v4 bool, u *Unreach) bool {
	var src, dst netip.Addr
	var l4 []byte
	if v4 {
		if len(b) < wire.IPv4Len || b[0]>>4 != 4 || b[9] != wire.ProtoTCP {
			return false
		}
		src, dst = wire.IPv4(b).Src(), wire.IPv4(b).Dst()
		l4 = b[min(wire.IPv4(b).HeaderLen(), len(b)):]
	} else {
		if len(b) < wire.IPv6Len || b[0]>>4 != 6 || b[6] != wire.ProtoTCP {
			return false
		}
		src, dst = wire.IPv6(b).Src(), wire.IPv6(b).Dst()
		l4 = b[wire.IPv6Len:]
	}
	if len(l4) < 8 { // "the internet header plus the first 64 bits of the original datagram's data" RFC 792
		return false
	}
	u.Local = netip.AddrPortFrom(src, binary.BigEndian.Uint16(l4))
	u.Remote = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(l4[2:]))
	u.Seq = binary.BigEndian.Uint32(l4[4:])
	return true
}

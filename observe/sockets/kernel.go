package sockets

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sock_diag(7), <linux/inet_diag.h>.
const (
	diagByFamily = 20
	diagRequest  = 56 // sizeof(struct inet_diag_req_v2)
	diagMessage  = 72 // sizeof(struct inet_diag_msg)

	attrInfo     = 2
	attrCong     = 4
	attrSkMem    = 7
	attrShutdown = 8
	attrV6Only   = 11
	attrMark     = 15
	attrCgroup   = 21
)

// request is a struct inet_diag_req_v2 that asks for all TCP sockets of a family in the states of a mask.
type request struct {
	family uint8
	states uint32
}

func (r request) Len() int { return diagRequest }

func (r request) Serialize() []byte {
	b := make([]byte, diagRequest)
	b[0], b[1] = r.family, unix.IPPROTO_TCP
	for _, attr := range [...]int{attrInfo, attrCong, attrSkMem, attrShutdown} {
		b[2] |= 1 << (attr - 1)
	}
	binary.NativeEndian.PutUint32(b[4:], r.states)
	return b
}

// Kernel lists the kernel's sockets of the calling thread's network namespace, in the states of a mask (1 << state).
func Kernel(states uint32) (all []Socket, err error) {
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		req := nl.NewNetlinkRequest(diagByFamily, unix.NLM_F_DUMP)
		req.AddData(request{family, states})
		msgs, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
		if err != nil {
			return nil, fmt.Errorf("ask the kernel for sockets: %w", err)
		}
		for _, m := range msgs {
			if s, ok := parse(m); ok {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// parse reads a struct inet_diag_msg and its attributes.
func parse(b []byte) (s Socket, ok bool) {
	if len(b) < diagMessage {
		return s, false
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	s = Socket{
		Family: b[0], State: b[1], Timer: b[2], Retrans: uint32(b[3]),
		Local: address(b[0], b[8:24], b[4:6]), Remote: address(b[0], b[24:40], b[6:8]),
		Ifindex: int(u32(40)), Cookie: uint64(u32(44)) | uint64(u32(48))<<32,
		Expires: u32(52), RecvQ: u32(56), SendQ: u32(60), UID: u32(64), Inode: uint64(u32(68)),
	}
	attrs, err := nl.ParseRouteAttr(b[diagMessage:])
	if err != nil {
		return s, true
	}
	for _, a := range attrs {
		s.attribute(a.Attr.Type, a.Value)
	}
	return s, true
}

func (s *Socket) attribute(kind uint16, v []byte) {
	switch kind {
	case attrInfo:
		s.Info = ParseInfo(v)
	case attrCong:
		s.Congestion = text(v)
	case attrSkMem:
		var m [9]uint32
		for i := range m {
			if len(v) >= 4*i+4 {
				m[i] = binary.NativeEndian.Uint32(v[4*i:])
			}
		}
		s.Memory = &Memory{m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]}
	case attrShutdown:
		if len(v) > 0 {
			s.Shutdown = &v[0]
		}
	case attrMark:
		if len(v) >= 4 {
			s.Mark = binary.NativeEndian.Uint32(v)
		}
	case attrCgroup:
		if len(v) >= 8 {
			s.CgroupID = binary.NativeEndian.Uint64(v)
		}
	case attrV6Only:
		s.V6Only = len(v) > 0 && v[0] != 0
	}
}

// ParseInfo reads a struct tcp_info of any length.
func ParseInfo(b []byte) *Info {
	var i Info
	padded := make([]byte, max(len(b), binary.Size(i)))
	copy(padded, b)
	if _, err := binary.Decode(padded, binary.NativeEndian, &i); err != nil {
		return nil
	}
	return &i
}

func address(family uint8, ip, port []byte) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(ip)), p)
}

// text cuts a string off at its NUL.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

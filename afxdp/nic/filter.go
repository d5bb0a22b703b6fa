package nic

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Filter chooses packets of a device. What it does not choose goes to the kernel. Made by All, Ether, UDP and TCP.
type Filter struct {
	etherType uint16
	proto     uint8
	local     netip.AddrPort
	err       error
}

// All chooses every frame: the kernel then has only what it sends.
func All() Filter { return Filter{} }

// Ether chooses frames by their Ethernet type, which must not be 0. A VLAN tag is a type of its own.
func Ether(etherType uint16) Filter {
	if etherType == 0 {
		return Filter{err: fmt.Errorf("Ethernet type 0")}
	}
	return Filter{etherType: etherType}
}

// UDP chooses datagrams to a local address and port. An unspecified address (0.0.0.0 or ::) stands for every one of its
// family. Fragments, IPv4 packets with options and IPv6 packets with extension headers are the kernel's.
func UDP(local netip.AddrPort) Filter { return ports(unix.IPPROTO_UDP, local) }

// TCP is the same for TCP.
func TCP(local netip.AddrPort) Filter { return ports(unix.IPPROTO_TCP, local) }

func ports(proto uint8, local netip.AddrPort) Filter {
	if !local.IsValid() || local.Port() == 0 {
		return Filter{err: fmt.Errorf("%v is no address and port", local)}
	}
	f := Filter{etherType: unix.ETH_P_IP, proto: proto, local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}
	if f.local.Addr().Is6() {
		f.etherType = unix.ETH_P_IPV6
	}
	return f
}

// Where things lie in a frame: Ethernet, then IP without options, then the ports.
const (
	atType = 12
	atIP   = 14

	at4Frag, at4Proto, at4Dst, at4Port = atIP + 6, atIP + 9, atIP + 16, atIP + 20 + 2
	at6Next, at6Dst, at6Port           = atIP + 6, atIP + 24, atIP + 40 + 2
)

// need is how many bytes of a frame the filter looks at.
func (f Filter) need() int32 {
	switch {
	case f.proto == 0:
		return atIP
	case f.local.Addr().Is4():
		return at4Port + 2
	}
	return at6Port + 2
}

// instructions compare the frame at R2 and jump to "pass" if it is not chosen. R5 is theirs.
func (f Filter) instructions() (out asm.Instructions) {
	equal := func(at int16, size asm.Size, want uint32) {
		out = append(out, asm.LoadMem(asm.R5, asm.R2, at, size), asm.JNE.Imm32(asm.R5, int32(want), "pass"))
	}
	if f.etherType == 0 {
		return nil
	}
	equal(atType, asm.Half, swapped(f.etherType))
	if f.proto == 0 {
		return out
	}
	ip := f.local.Addr()
	dst, port, proto := int16(at6Dst), int16(at6Port), int16(at6Next)
	if ip.Is4() {
		dst, port, proto = at4Dst, at4Port, at4Proto
		equal(atIP, asm.Byte, 0x45)
		out = append(out, asm.LoadMem(asm.R5, asm.R2, at4Frag, asm.Half),
			asm.And.Imm(asm.R5, int32(swapped(0x3fff))), asm.JNE.Imm32(asm.R5, 0, "pass"))
	}
	equal(proto, asm.Byte, uint32(f.proto))
	equal(port, asm.Half, swapped(f.local.Port()))
	if !ip.IsUnspecified() {
		b := ip.AsSlice()
		for i := 0; i < len(b); i += 4 {
			equal(dst+int16(i), asm.Word, binary.NativeEndian.Uint32(b[i:]))
		}
	}
	return out
}

// swapped is a number of the wire as the machine loads it.
func swapped(v uint16) uint32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return uint32(binary.NativeEndian.Uint16(b[:]))
}

package nic

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// Where things lie in a frame: Ethernet, perhaps a tag, then IP without options, then the ports.
const (
	atType  = 12
	atIP    = 14
	tagSize = 4

	at4Frag, at4Proto, at4Src, at4Dst, at4Ports = atIP + 6, atIP + 9, atIP + 12, atIP + 16, atIP + 20
	at6Next, at6Src, at6Dst, at6Ports           = atIP + 6, atIP + 8, atIP + 24, atIP + 40
)

// compiler makes the instructions that compare the frame at R2 with a filter, and jump to "pass" if it is not chosen. R5 is theirs.
// Fragments, IPv4 packets with options and IPv6 packets with extension headers are chosen by no filter that looks at ports.
type compiler struct {
	out   asm.Instructions
	shift int16 // of what follows the tag
	need  int32 // bytes of the frame that are looked at
}

func compile(s efvi.FilterSpec) *compiler {
	c := &compiler{need: atIP}
	if s.Tagged {
		c.equal(atType, asm.Half, swapped(unix.ETH_P_8021Q))
		c.masked(atIP, asm.Half, swapped(0xfff), swapped(s.VLAN))
		c.shift, c.need = tagSize, atIP+tagSize
	}
	switch s.Kind {
	case efvi.FilterEthLocal:
		c.masked(0, asm.Word, ^uint32(0), binary.NativeEndian.Uint32(s.MAC[:]))
		c.masked(4, asm.Half, 0xffff, uint32(binary.NativeEndian.Uint16(s.MAC[4:])))
	case efvi.FilterUnicastAll:
		c.masked(0, asm.Byte, 1, 0)
	case efvi.FilterMulticastAll:
		c.masked(0, asm.Byte, 1, 1)
	case efvi.FilterEthType:
		c.equal(atType, asm.Half, swapped(s.Type))
	case efvi.FilterIPLocal, efvi.FilterIPFull:
		c.ip(s)
	}
	return c
}

// equal compares behind the tag.
func (c *compiler) equal(at int16, size asm.Size, want uint32) {
	c.out = append(c.out, asm.LoadMem(asm.R5, asm.R2, at+c.shift, size), asm.JNE.Imm32(asm.R5, int32(want), "pass"))
}

// masked compares some bits, in front of the tag or of it.
func (c *compiler) masked(at int16, size asm.Size, mask, want uint32) {
	c.out = append(c.out, asm.LoadMem(asm.R5, asm.R2, at, size), asm.And.Imm32(asm.R5, int32(mask)), asm.JNE.Imm32(asm.R5, int32(want), "pass"))
}

func (c *compiler) ip(s efvi.FilterSpec) {
	src, dst, ports, proto := int16(at6Src), int16(at6Dst), int16(at6Ports), int16(at6Next)
	if s.Local.Addr().Is4() {
		src, dst, ports, proto = at4Src, at4Dst, at4Ports, at4Proto
		c.equal(atType, asm.Half, swapped(unix.ETH_P_IP))
		c.equal(atIP, asm.Byte, 0x45)
		c.masked(at4Frag+c.shift, asm.Half, swapped(0x3fff), 0)
	} else {
		c.equal(atType, asm.Half, swapped(unix.ETH_P_IPV6))
	}
	c.need = int32(ports+c.shift) + 4
	c.equal(proto, asm.Byte, uint32(s.Proto))
	c.equal(ports+2, asm.Half, swapped(s.Local.Port()))
	c.address(dst, s.Local.Addr())
	if s.Kind == efvi.FilterIPFull {
		c.equal(ports, asm.Half, swapped(s.Remote.Port()))
		c.address(src, s.Remote.Addr())
	}
}

func (c *compiler) address(at int16, ip netip.Addr) {
	if ip.IsUnspecified() {
		return
	}
	b := ip.AsSlice()
	for i := 0; i < len(b); i += 4 {
		c.equal(at+int16(i), asm.Word, binary.NativeEndian.Uint32(b[i:]))
	}
}

// swapped is a number of the wire as the machine loads it.
func swapped(v uint16) uint32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return uint32(binary.NativeEndian.Uint16(b[:]))
}

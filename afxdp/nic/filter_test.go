package nic

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
)

const chosen = 1 // XDP_DROP: what the programs of this test say instead of a redirect

// frame is what a filter looks at, in words.
type frame struct {
	mac           [6]byte
	vlan          int // -1: no tag
	typ           uint16
	proto         byte
	src, dst      netip.AddrPort
	options, frag bool
}

func (f frame) bytes() []byte {
	b := append(f.mac[:], 2, 0, 0, 0, 0, 9)
	be := binary.BigEndian
	if f.vlan >= 0 {
		b = be.AppendUint16(be.AppendUint16(b, 0x8100), 0x6000|uint16(f.vlan))
	}
	b = be.AppendUint16(b, f.typ)
	switch f.typ {
	case 0x0800:
		h := make([]byte, 20)
		h[0], h[9] = 0x45, f.proto
		if f.frag {
			h[7] = 5
		}
		copy(h[12:], f.src.Addr().AsSlice())
		copy(h[16:], f.dst.Addr().AsSlice())
		if f.options {
			h[0] = 0x46
			h = append(h, 1, 1, 1, 1)
		}
		b = append(b, h...)
	case 0x86dd:
		h := make([]byte, 8)
		h[0], h[6] = 0x60, f.proto
		b = append(append(append(b, h...), f.src.Addr().AsSlice()...), f.dst.Addr().AsSlice()...)
	}
	b = be.AppendUint16(be.AppendUint16(b, f.src.Port()), f.dst.Port())
	return append(b, make([]byte, 40)...)
}

// meant is what a filter chooses, said again in words.
func meant(s efvi.FilterSpec, f frame) bool {
	if s.Tagged && f.vlan != int(s.VLAN) {
		return false
	}
	group := f.mac[0]&1 != 0
	switch s.Kind {
	case efvi.FilterAll:
		return true
	case efvi.FilterUnicastAll:
		return !group
	case efvi.FilterMulticastAll:
		return group
	case efvi.FilterEthLocal:
		return f.mac == s.MAC
	case efvi.FilterEthType:
		if f.vlan >= 0 && !s.Tagged {
			return s.Type == 0x8100
		}
		return f.typ == s.Type
	}
	family := map[bool]uint16{true: 0x0800, false: 0x86dd}[s.Local.Addr().Is4()]
	if f.vlan >= 0 && !s.Tagged || f.typ != family || f.options || f.frag || f.proto != byte(s.Proto) || f.dst.Port() != s.Local.Port() {
		return false
	}
	if a := s.Local.Addr(); !a.IsUnspecified() && a != f.dst.Addr() {
		return false
	}
	return s.Kind == efvi.FilterIPLocal || f.src == s.Remote
}

// Every filter chooses of many frames, which differ in one thing or several, what it says and no other.
func TestFiltersChooseWhatTheySay(t *testing.T) {
	ends := func(a, b string) [2]netip.AddrPort {
		return [2]netip.AddrPort{netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)}
	}
	four, six := ends("10.0.0.2:999", "10.0.0.1:33059"), ends("[2001:db8::2]:999", "[2001:db8::1]:33059")
	mac := [6]byte{2, 0, 0, 0, 0, 0x81}
	var frames []frame
	for _, m := range [][6]byte{mac, {2, 0, 0, 0, 0, 0x82}, {1, 0, 0x5e, 0, 0, 1}} {
		for _, vlan := range []int{-1, 5} {
			for _, proto := range []byte{6, 17} {
				for _, e := range [][2]netip.AddrPort{four, six} {
					typ := map[bool]uint16{true: 0x0800, false: 0x86dd}[e[0].Addr().Is4()]
					port := func(i int, d uint16) netip.AddrPort { return netip.AddrPortFrom(e[i].Addr(), e[i].Port()+d) }
					next := func(i int) netip.AddrPort { return netip.AddrPortFrom(e[i].Addr().Next(), e[i].Port()) }
					for _, c := range [][2]netip.AddrPort{e, {port(0, 1), e[1]}, {e[0], port(1, 1)}, {next(0), e[1]}, {e[0], next(1)}} {
						frames = append(frames, frame{mac: m, vlan: vlan, typ: typ, proto: proto, src: c[0], dst: c[1]})
					}
				}
				frames = append(frames, frame{mac: m, vlan: vlan, typ: 0x0800, proto: proto, src: four[0], dst: four[1], options: true},
					frame{mac: m, vlan: vlan, typ: 0x0800, proto: proto, src: four[0], dst: four[1], frag: true},
					frame{mac: m, vlan: vlan, typ: 0x88b5, src: four[0], dst: four[1]})
			}
		}
	}
	every := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 33059) }
	specs := []efvi.FilterSpec{efvi.All(), efvi.UnicastAll(), efvi.MulticastAll(), efvi.EthLocal(mac), efvi.EthType(0x88b5), efvi.EthType(0x8100),
		efvi.IPLocal(efvi.UDP, four[1]), efvi.IPLocal(efvi.TCP, six[1]), efvi.IPLocal(efvi.UDP, every("0.0.0.0")), efvi.IPLocal(efvi.TCP, every("::")),
		efvi.IPFull(efvi.TCP, four[1], four[0]), efvi.IPFull(efvi.UDP, six[1], six[0])}
	for _, s := range specs {
		require.NoError(t, s.Check())
		for _, s := range []efvi.FilterSpec{s, s.OnVLAN(5)} {
			choosesWhatItSays(t, s, frames)
		}
	}
}

func choosesWhatItSays(t *testing.T, s efvi.FilterSpec, frames []frame) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL", Instructions: program(s, asm.Instructions{asm.Mov.Imm(asm.R0, chosen), asm.Return()}),
	})
	require.NoError(t, err, s)
	defer prog.Close()
	some := 0
	for _, f := range frames {
		verdict, err := prog.Run(&ebpf.RunOptions{Data: f.bytes()})
		require.NoError(t, err)
		require.Equal(t, meant(s, f), verdict == chosen, "%v, %+v", s, f)
		if verdict == chosen {
			some++
		}
	}
	if s.Kind != efvi.FilterEthType || s.Type != 0x8100 || !s.Tagged {
		require.NotZero(t, some, "%v chooses something", s)
	}
}

// Frames that end before what a filter looks at are the kernel's.
func TestShortFramesAreTheKernels(t *testing.T) {
	f := frame{vlan: -1, typ: 0x0800, proto: 17, src: netip.MustParseAddrPort("10.0.0.2:999"), dst: netip.MustParseAddrPort("10.0.0.1:7")}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL", Instructions: program(efvi.IPLocal(efvi.UDP, f.dst), asm.Instructions{asm.Mov.Imm(asm.R0, chosen), asm.Return()}),
	})
	require.NoError(t, err)
	defer prog.Close()
	const whole = at4Ports + 4
	for n := 14; n <= whole+2; n++ {
		verdict, err := prog.Run(&ebpf.RunOptions{Data: f.bytes()[:n]})
		require.NoError(t, err)
		require.Equal(t, n >= whole, verdict == chosen, "%d bytes", n)
	}
}

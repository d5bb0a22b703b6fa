package spur

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const xdpDrop = 1 // enum xdp_action

// attach has a device redirect all it receives to the first entry of a map; parts: packets in several pieces, too. Nobody has to hold program or map: they go with the device.
func attach(l netlink.Link, m *ebpf.Map, flags int, parts bool) error {
	bears := uint32(0)
	if parts {
		bears = unix.BPF_F_XDP_HAS_FRAGS
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Flags: bears, Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R3, xdpDrop),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}})
	if err != nil {
		return fmt.Errorf("load XDP program: %w", err)
	}
	defer p.Close()
	if err := netlink.LinkSetXdpFdWithFlags(l, p.FD(), flags); err != nil {
		return fmt.Errorf("attach XDP program to %s: %w", l.Attrs().Name, err)
	}
	return nil
}

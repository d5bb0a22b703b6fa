package raw

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sluice-net/sluice/afxdp"
)

// etherType marks our frames: IEEE 802's first number for local experiments.
const etherType = 0x88b5

const (
	xdpPass    = 2 // enum xdp_action
	maxQueues  = 64
	ctxData    = 0  // struct xdp_md
	ctxDataEnd = 4  //
	ctxQueue   = 16 // rx_queue_index
)

// steering sends our frames to the socket of the queue they came by, and leaves everything else to the kernel: as little as
// a program can do, so that what is measured is the limit and not our own steering.
type steering struct {
	sockets *ebpf.Map
	program *ebpf.Program
	link    link.Link
}

// steer attaches where sluice's own program runs on such a device: the limit is that of the same path.
func steer(ifindex int, kind string, queues int) (*steering, error) {
	var s steering
	var err error
	s.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: maxQueues})
	if err != nil {
		return nil, fmt.Errorf("make XSK map: %w", err)
	}
	if s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: instructions(s.sockets.FD())}); err != nil {
		s.close()
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	modes := []link.XDPAttachFlags{link.XDPDriverMode, link.XDPGenericMode}
	if afxdp.BestGeneric(kind, queues, afxdp.GenericParts()) {
		slices.Reverse(modes)
	}
	for _, flags := range modes {
		if s.link, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: ifindex, Flags: flags}); err == nil {
			return &s, nil
		}
	}
	s.close()
	return nil, fmt.Errorf("attach XDP program: %w", err)
}

func instructions(sockets int) asm.Instructions {
	const bigEndianType = etherType&0xff<<8 | etherType>>8
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, ctxData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, ctxDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 14),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R5, asm.R2, 12, asm.Half),
		asm.JNE.Imm(asm.R5, bigEndianType, "pass"),
		asm.LoadMem(asm.R2, asm.R6, ctxQueue, asm.Word),
		asm.LoadMapPtr(asm.R1, sockets),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	}
}

func (s *steering) set(queue, socket int) error {
	return s.sockets.Put(uint32(queue), uint32(socket))
}

func (s *steering) close() {
	if s.link != nil {
		_ = s.link.Close()
	}
	if s.program != nil {
		_ = s.program.Close()
	}
	if s.sockets != nil {
		_ = s.sockets.Close()
	}
}

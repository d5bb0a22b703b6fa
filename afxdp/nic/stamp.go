package nic

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// A driver tells when it received a packet to an XDP program that was loaded for its device alone (BPF_F_XDP_DEV_BOUND_ONLY, Linux 6.3), by a
// function of the kernel's that is called by its number in the kernel's BTF. The program writes the time in front of the packet, where AF_XDP
// leaves it.

const rxTimestamp = "bpf_xdp_metadata_rx_timestamp"

const ctxMeta = 8 // data_meta of struct xdp_md

// stamped is chosen with a time in front of each frame, 0 if the driver does not tell. A frame that has no room there passes: what lies
// in front of it would be taken for a time.
func stamped(chosen asm.Instructions) (asm.Instructions, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF: %w", err)
	}
	var fn *btf.Func
	if err := kernel.TypeByName(rxTimestamp, &fn); err != nil {
		return nil, fmt.Errorf("find %s: %w", rxTimestamp, err)
	}
	id, err := kernel.TypeID(fn)
	if err != nil {
		return nil, fmt.Errorf("number of %s: %w", rxTimestamp, err)
	}
	const time = -8 // on the stack
	return append(asm.Instructions{
		asm.Mov.Imm(asm.R7, 0),
		asm.StoreMem(asm.RFP, time, asm.R7, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, time),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: int64(id)},
		asm.JEq.Imm(asm.R0, 0, "told"),
		asm.StoreMem(asm.RFP, time, asm.R7, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("told"),
		asm.Mov.Imm(asm.R2, -8),
		asm.FnXdpAdjustMeta.Call(),
		asm.JNE.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R1, asm.R6, ctxMeta, asm.Word),
		asm.LoadMem(asm.R2, asm.R6, ctxData, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Add.Imm(asm.R3, 8),
		asm.JGT.Reg(asm.R3, asm.R2, "pass"),
		asm.LoadMem(asm.R4, asm.RFP, time, asm.DWord),
		asm.StoreMem(asm.R1, 0, asm.R4, asm.DWord),
	}, chosen...), nil
}

// forDevice makes the program one that is loaded for a device alone.
func forDevice(p *ebpf.ProgramSpec, ifindex int) {
	p.Flags |= unix.BPF_F_XDP_DEV_BOUND_ONLY
	p.Ifindex = uint32(ifindex)
}

package nic

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
)

const (
	xdpDrop    = 1 // enum xdp_action
	xdpPass    = 2
	ctxData    = 0 // struct xdp_md
	ctxDataEnd = 4
	ctxQueue   = 16 // rx_queue_index
)

// steering does something with what a filter chooses, and leaves everything else to the kernel.
type steering struct {
	table   *ebpf.Map // sockets by queue, or counters
	program *ebpf.Program
	link    link.Link
}

// steer sends what the filter chooses to the socket of the queue it came by; with the time it came at, if the driver is said to have that
// and the kernel lets a program ask for it.
func steer(dev afxdp.Device, f efvi.FilterSpec, times *efvi.Times) (s *steering, native bool, err error) {
	table := &ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(dev.Queues)}
	if times.RX != efvi.NoClock {
		if s, native, err = attachStamping(dev, f, table); err == nil {
			return s, native, nil
		}
		times.RX = efvi.NoClock
	}
	return attach(dev, f, table, redirect)
}

// attach attaches a program to a device, in the driver if that can be, else on the generic path. chosen is what it does, with a table of the
// given kind, to what the filter chooses.
func attach(dev afxdp.Device, f efvi.FilterSpec, table *ebpf.MapSpec, chosen func(fd int) asm.Instructions) (s *steering, native bool, err error) {
	s = &steering{}
	if s.table, err = ebpf.NewMap(table); err != nil {
		return nil, false, fmt.Errorf("make %s map: %w", table.Type, err)
	}
	return s.attach(dev, &ebpf.ProgramSpec{Instructions: program(f, chosen(s.table.FD()))}, link.XDPDriverMode, link.XDPGenericMode)
}

// attachStamping is attach of a program that stamps what it redirects, which only a driver runs.
func attachStamping(dev afxdp.Device, f efvi.FilterSpec, table *ebpf.MapSpec) (s *steering, native bool, err error) {
	s = &steering{}
	if s.table, err = ebpf.NewMap(table); err != nil {
		return nil, false, fmt.Errorf("make %s map: %w", table.Type, err)
	}
	chosen, err := stamped(redirect(s.table.FD()))
	if err != nil {
		return nil, false, errors.Join(err, s.close())
	}
	prog := &ebpf.ProgramSpec{Instructions: program(f, chosen)}
	forDevice(prog, dev.Ifindex)
	return s.attach(dev, prog, link.XDPDriverMode)
}

// attach loads the program, and attaches it in the first mode that can be.
func (s *steering) attach(dev afxdp.Device, prog *ebpf.ProgramSpec, modes ...link.XDPAttachFlags) (_ *steering, native bool, err error) {
	prog.Type, prog.License = ebpf.XDP, "Dual BSD/GPL"
	if dev.MTU > maxLinearMTU {
		prog.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	}
	if s.program, err = ebpf.NewProgram(prog); err != nil {
		return nil, false, errors.Join(fmt.Errorf("load XDP program: %w", err), s.close())
	}
	for _, mode := range modes {
		s.link, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: dev.Ifindex, Flags: mode})
		if err == nil {
			return s, mode == link.XDPDriverMode, nil
		}
		s.link = nil
	}
	return nil, false, errors.Join(fmt.Errorf("attach XDP program: %w", err), s.close())
}

// maxLinearMTU is the largest MTU whose packets fit the one page that drivers keep for XDP.
const maxLinearMTU = 3498

// program runs what is to be done with frames that a filter chooses, and passes on the others. R6 holds the context.
func program(f efvi.FilterSpec, chosen asm.Instructions) asm.Instructions {
	c := compile(f)
	out := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, ctxData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, ctxDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, c.need),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
	}
	out = append(append(out, c.out...), chosen...)
	return append(out, asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"), asm.Return())
}

// redirect leads a frame to the socket of the queue it came by.
func redirect(sockets int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, ctxQueue, asm.Word),
		asm.LoadMapPtr(asm.R1, sockets),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}
}

func (s *steering) set(queue, socket int) error {
	if err := s.table.Put(uint32(queue), uint32(socket)); err != nil {
		return fmt.Errorf("set socket of queue %d: %w", queue, err)
	}
	return nil
}

func (s *steering) close() (err error) {
	if s.link != nil {
		err = s.link.Close()
	}
	if s.program != nil {
		err = errors.Join(err, s.program.Close())
	}
	if s.table != nil {
		err = errors.Join(err, s.table.Close())
	}
	*s = steering{}
	return err
}

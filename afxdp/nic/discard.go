package nic

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/sluice-net/sluice/efvi"
)

// Discard drops, in a device's driver, the packets that a filter chooses, and counts them. They take no frame, no queue and no process's time.
type Discard struct {
	Native   bool // in the driver; else behind it, on the generic path
	steering *steering
}

// NewDiscard drops what comes to a device of the calling thread's network namespace from now on and the filter chooses.
func NewDiscard(device string, f efvi.FilterSpec) (*Discard, error) {
	dev, err := find(device, f)
	if err != nil {
		return nil, err
	}
	d := &Discard{}
	d.steering, d.Native, err = attach(dev, f, &ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: tallySize, MaxEntries: 1}, tally)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Count is how many packets were dropped so far, and how many bytes they had.
func (d *Discard) Count() (packets, bytes uint64, err error) {
	var each [][tallySize / 8]uint64 // by processor
	if err := d.steering.table.Lookup(uint32(0), &each); err != nil {
		return 0, 0, fmt.Errorf("read the counters: %w", err)
	}
	for _, n := range each {
		packets += n[0]
		bytes += n[1]
	}
	return packets, bytes, nil
}

// Close lets the packets pass again. The counters end with it.
func (d *Discard) Close() error { return d.steering.close() }

const tallySize = 16 // packets, bytes

// tally counts a frame and drops it.
func tally(counters int) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, counters),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"), // cannot be, but the verifier does not know
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.LoadMem(asm.R2, asm.R6, ctxData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, ctxDataEnd, asm.Word),
		asm.Sub.Reg(asm.R3, asm.R2),
		asm.LoadMem(asm.R1, asm.R0, 8, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R3),
		asm.StoreMem(asm.R0, 8, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
	}
}

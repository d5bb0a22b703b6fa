package steer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Leads tells for each of these numbers whether packets are led there: whether a queue has a socket, and a spur is there. A socket leaves the
// map when the last process that holds it closes it, so this tells who lives, of those too that an earlier broker served.
func (p *Program) Leads(queues []int) ([]bool, error) {
	out := make([]bool, len(queues))
	ask, err := askXSKs(p.maps.Xsks)
	if err != nil {
		return nil, fmt.Errorf("ask for sockets: %w", err)
	}
	defer ask.Close()
	for i, q := range queues {
		if q >= FirstSpur {
			out[i] = p.HasSpur(q)
			continue
		}
		if out[i], err = ask.has(q); err != nil {
			return nil, fmt.Errorf("ask for the socket of queue %d: %w", q, err)
		}
	}
	return out, nil
}

// asker looks into a map of sockets. The kernel lets programs do that, and no process.
type asker struct{ *ebpf.Program }

// leastPacket is the shortest that BPF_PROG_TEST_RUN takes.
const leastPacket = 14

// askXSKs makes a program whose verdict tells whether the map has the key that its packet begins with.
func askXSKs(xsks *ebpf.Map) (asker, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "sluice_asks", Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data of struct xdp_md
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, leastPacket),
		asm.JGT.Reg(asm.R4, asm.R3, "none"),
		asm.LoadMem(asm.R5, asm.R2, 0, asm.Word),
		asm.StoreMem(asm.RFP, -4, asm.R5, asm.Word),
		asm.LoadMapPtr(asm.R1, xsks.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "none"),
		asm.Mov.Imm(asm.R0, hasSocket),
		asm.Return(),
		asm.Mov.Imm(asm.R0, hasNone).WithSymbol("none"),
		asm.Return(),
	}})
	return asker{p}, err
}

// Verdicts, XDP_DROP and XDP_PASS; on an error of its own the kernel gives none of them.
const (
	hasNone   = 1
	hasSocket = 2
)

func (a asker) has(queue int) (bool, error) {
	packet := make([]byte, leastPacket)
	binary.NativeEndian.PutUint32(packet, uint32(queue))
	switch verdict, _, err := a.Test(packet); {
	case err != nil:
		return false, err
	case verdict == hasSocket, verdict == hasNone:
		return verdict == hasSocket, nil
	default:
		return false, errors.New("no answer")
	}
}

package moves

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
)

// lose drops that share of the packets at the client's device, in both directions. (The kernel here may lack netem; and netem would not
// see what an AF_XDP socket sends.)
func (r *rig) lose(share float64) {
	r.t.Helper()
	const pass, drop = 0, 2 // TCX_PASS, TCX_DROP
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.FnGetPrandomU32.Call(),
			asm.LoadImm(asm.R1, int64(share*float64(1<<32)), asm.DWord),
			asm.JLT.Reg(asm.R0, asm.R1, "drop"),
			asm.Mov.Imm(asm.R0, pass),
			asm.Return(),
			asm.Mov.Imm(asm.R0, drop).WithSymbol("drop"),
			asm.Return(),
		},
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { prog.Close() })
	require.NoError(r.t, r.bed.Client.Do(func() error {
		for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			l, err := link.AttachTCX(link.TCXOptions{Interface: r.bed.Client.Ifindex, Program: prog, Attach: at})
			if err != nil {
				return err
			}
			r.t.Cleanup(func() { l.Close() })
		}
		return nil
	}))
}

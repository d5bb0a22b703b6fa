package testrig

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
)

// Lose drops that share of the packets at a node's device, in both directions, until the returned function is called or the test ends: coming
// in behind what a capture there sees, going out in front of it. (The kernel here may lack netem; and netem would not see what an AF_XDP
// socket sends.)
func Lose(t testing.TB, n *testbed.Node, share float64) (mend func()) {
	t.Helper()
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
	require.NoError(t, err)
	t.Cleanup(func() { prog.Close() })
	var links []link.Link
	require.NoError(t, n.Do(func() error {
		for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			l, err := link.AttachTCX(link.TCXOptions{Interface: n.Ifindex, Program: prog, Attach: at})
			if err != nil {
				return err
			}
			links = append(links, l)
		}
		return nil
	}))
	mend = func() {
		for _, l := range links {
			l.Close()
		}
		links = nil
	}
	t.Cleanup(mend)
	return mend
}

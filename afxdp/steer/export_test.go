package steer

import (
	"github.com/cilium/ebpf"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// Verdicts of an XDP program.
const (
	Drop     = 1
	Pass     = 2
	Redirect = 4
)

// AttachGeneric is Attach without trying the driver.
func AttachGeneric(ns, ifindex int, pinDir string) (*Program, error) {
	return attach(ns, ifindex, pinDir, Generic)
}

// xdpMD is struct xdp_md, as a test run takes it.
type xdpMD struct {
	Data, DataEnd, DataMeta, Ifindex, Queue, Egress uint32
}

// Run runs the program on one packet as if it came by queue of its device, which is in ns.
func (p *Program) Run(ns, queue int, packet []byte) (verdict uint32, err error) {
	info, err := p.link.Info()
	if err != nil {
		return 0, err
	}
	prog, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return 0, err
	}
	defer prog.Close()
	err = netns.Do(ns, func() error {
		verdict, err = prog.Run(&ebpf.RunOptions{
			Data:    packet,
			Context: xdpMD{DataEnd: uint32(len(packet)), Ifindex: uint32(p.pin.Ifindex), Queue: uint32(queue)},
		})
		return err
	})
	return verdict, err
}

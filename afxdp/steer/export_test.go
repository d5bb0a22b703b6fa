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
	return attach(ns, ifindex, pinDir, func(string, int) []Mode { return []Mode{Generic} })
}

// xdpMD is struct xdp_md, as a test run takes it.
type xdpMD struct {
	Data, DataEnd, DataMeta, Ifindex, Queue, Egress uint32
}

// Runner runs the attached program on packets in the namespace of its device.
type Runner struct {
	prog    *ebpf.Program
	ns      int
	ifindex uint32
}

// Runner finds the attached program; its device is in ns.
func (p *Program) Runner(ns int) (*Runner, error) {
	info, err := p.link.Info()
	if err != nil {
		return nil, err
	}
	prog, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return nil, err
	}
	return &Runner{prog, ns, uint32(p.pin.Ifindex)}, nil
}

// Close lets go of the program.
func (r *Runner) Close() { r.prog.Close() }

// Run runs the program on one packet as if it came by queue.
func (r *Runner) Run(queue int, packet []byte) (verdict uint32, err error) {
	err = netns.Do(r.ns, func() error {
		verdict, err = r.prog.Run(&ebpf.RunOptions{
			Data:    packet,
			Context: xdpMD{DataEnd: uint32(len(packet)), Ifindex: r.ifindex, Queue: uint32(queue)},
		})
		return err
	})
	return verdict, err
}

// Run runs the program once on one packet.
func (p *Program) Run(ns, queue int, packet []byte) (verdict uint32, err error) {
	r, err := p.Runner(ns)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.Run(queue, packet)
}

// OlderKernel has packets that lie in many pages not borne by generic XDP, until it is called.
func OlderKernel() (end func()) {
	before := bearsJoined
	bearsJoined = func() bool { return false }
	return func() { bearsJoined = before }
}

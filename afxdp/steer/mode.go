package steer

import (
	"github.com/cilium/ebpf/link"

	"github.com/sluice-net/sluice/afxdp"
)

// Mode is where the program runs.
type Mode string

const (
	Native  Mode = "native"  // in the driver
	Generic Mode = "generic" // on the kernel's generic path, after the driver made an skb
)

var attachFlags = map[Mode]link.XDPAttachFlags{Native: link.XDPDriverMode, Generic: link.XDPGenericMode}

// modesFor lists where a device's program is tried, the best first.
func modesFor(kind string, queues int) []Mode {
	if afxdp.BestGeneric(kind, queues, bearsJoined()) {
		return []Mode{Generic, Native}
	}
	return []Mode{Native, Generic}
}

var bearsJoined = afxdp.GenericParts

// Joined tells whether packets may come that are longer than the device's MTU, up to 64 KiB: sockets must take them in several frames.
func (p *Program) Joined() bool { return p.mode == Generic && bearsJoined() }

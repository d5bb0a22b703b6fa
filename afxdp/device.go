package afxdp

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/efvi"
)

// Device is what a queue's owner has to know about the device under it.
type Device struct {
	Name    string
	Ifindex int
	Driver  string // as ethtool names it; empty if the device does not say
	Kind    string // as ip link names it, "veth", "bridge"; "device" if hardware is behind it
	MAC     [6]byte
	MTU     int // bytes
	Queues  int // receive queues in use
	Up      bool
}

// Probe asks the kernel about the device ifindex in the calling thread's network namespace. It
// needs no privilege.
func Probe(ifindex int) (Device, error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return Device{}, fmt.Errorf("find interface %d: %w", ifindex, err)
	}
	a := l.Attrs()
	d := Device{Name: a.Name, Ifindex: ifindex, Kind: l.Type(), MTU: a.MTU, Queues: max(1, a.NumRxQueues), Up: a.RawFlags&unix.IFF_UP != 0}
	copy(d.MAC[:], a.HardwareAddr)
	// Not every device answers; what it does not say keeps its default.
	d.Driver, _ = ethtool.Driver(d.Name)
	if n, err := ethtool.ReceiveQueues(d.Name); err == nil && n > 0 {
		d.Queues = n
	}
	return d, nil
}

// MaxMTU is the largest IP packet, in bytes, that fits a frame: the kernel keeps 256 bytes in front of
// a received packet. MaxPartsMTU is what the most frames of a packet hold, where the kernel spreads packets over several
// (Layout.Parts). Larger packets are lost, so a stack must not invite them.
const (
	MaxMTU      = partSize - ethernetHeader
	MaxPartsMTU = efvi.MaxParts*partSize - ethernetHeader

	partSize       = efvi.FrameSize - unix.XDP_PACKET_HEADROOM
	ethernetHeader = 14
)

// Info describes one queue of the device, for Map. native says that XDP runs in the driver.
func (d Device) Info(queue int, l Layout, native bool) efvi.Info {
	return efvi.Info{
		Device: d.Name, Ifindex: d.Ifindex, Queue: queue, Queues: d.Queues, MAC: d.MAC, MTU: d.MTU,
		ZeroCopy: l.ZeroCopy, Native: native,
		PartialChecksum: PartialChecksum(d.Kind, d.Driver),
	}
}

// PartialChecksum tells whether packets may come to such a device without a finished checksum: none is behind it that has a wire, or its
// wire leads to another machine's memory.
func PartialChecksum(kind, driver string) bool { return kind != "device" || driver == "virtio_net" }

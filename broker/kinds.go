package broker

import (
	"github.com/vishvananda/netlink"

	"github.com/sluice-net/sluice/afxdp"
)

// Why devices that are no NIC and no veth are left to the kernel.
const (
	joined = "packets come joined together (GRO, TSO) from the devices below it, and then fit no frame"
	// XDP runs at the members, and a socket takes packets of its own device only: they would be lost.
	members = "its packets come by the queues of its members"
)

var unfitKinds = map[string]string{
	"bridge": joined, "macvlan": joined, "macvtap": joined, "ipvlan": joined, "ipvtap": joined,
	"bond": members, "team": members, "vrf": members,
}

// unfit says why a device is not used; empty if it is. XDP in the driver, which hands packets over one by one, is what NICs and veth have.
func (n *netDevice) unfit() string {
	switch why := unfitKinds[n.Kind]; {
	case !n.Ethernet:
		return "its packets have no Ethernet header"
	case n.Kind == "device", n.Kind == "veth":
		return ""
	case n.Kind == "vlan":
		return n.Left
	case why != "":
		return "a device of kind " + n.Kind + ": " + why
	default:
		return "a device of kind " + n.Kind + ", which was never tried"
	}
}

// Unfit says why a broker leaves a device to the kernel; empty if it does not.
func Unfit(l netlink.Link) string {
	n := netDevice{Kind: l.Type(), Ethernet: l.Attrs().EncapType == "ether", Left: "a VLAN device has no queues of its own: see the device below it"}
	return n.unfit()
}

// partialChecksum: packets may come without a finished checksum, as those of the same host do.
func (n *netDevice) partialChecksum() bool { return afxdp.PartialChecksum(n.Kind, n.Driver) }

package broker

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/steer"
)

// A VLAN device has no queues of its own: its frames come by those of the device below it, with an IEEE 802.1Q tag. So programs on its
// addresses get the queues below, the XDP program there has entries for the tag beside those for the device itself, and the stack puts the tag
// on what its routes send by the VLAN device.
//
//	eth0.100  10.1.0.1 ─┐
//	eth0      10.0.0.1 ─┴─► queues of eth0: entries (100, 10.1.0.1:80), (no tag, 10.0.0.1:80)

// vlanDevice is one on top of a device whose queues carry its frames.
type vlanDevice struct {
	steer.Link
	carrier
}

// carrier is what has addresses.
type carrier struct {
	Name  string
	Up    bool
	Addrs []netip.Addr
}

// describeVLAN fills in what is particular to a VLAN device.
func (n *netDevice) describeVLAN(v *netlink.Vlan) {
	n.VLAN, n.Below = uint16(v.VlanId), v.ParentIndex
	switch {
	case v.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q && v.VlanProtocol != netlink.VLAN_PROTOCOL_UNKNOWN:
		n.Left = "its tags are not those of 802.1Q"
	case v.NetNsID >= 0:
		n.Left = "the device below it is in another network namespace"
	case v.MasterIndex != 0:
		n.Left = "it belongs to a bridge, bond or vrf"
	}
}

// takesTagsOff asks the devices below VLAN devices.
func takesTagsOff(all []netDevice) {
	for _, v := range all {
		if n := byIndex(all, v.Below); v.VLAN != 0 && n != nil {
			n.Strips, _ = ethtool.TakesTagsOff(n.Name)
		}
	}
}

// putVLANsOn notes at each device which VLAN devices its queues carry, and at the other VLAN devices why they are left to the kernel.
func putVLANsOn(all []netDevice) []netDevice {
	for i := range all {
		all[i].VLANs = nil
	}
	for i := range all {
		v := &all[i]
		if v.Kind != "vlan" {
			continue
		}
		below := byIndex(all, v.Below)
		if v.Left == "" {
			v.Left = v.leftWith(below)
		}
		if v.Left == "" {
			below.VLANs = append(below.VLANs, vlanDevice{steer.Link{VLAN: v.VLAN, Ifindex: v.Ifindex}, carrier{v.Name, v.Up, v.Addrs}})
		}
	}
	return all
}

// leftWith says why a VLAN device on top of another is left to the kernel; empty: it is not.
func (n *netDevice) leftWith(below *netDevice) string {
	switch {
	case below == nil || n.VLAN == 0:
		return "the device below it is not known"
	case below.Kind == "vlan":
		return "its frames have two tags"
	case below.unfit() != "":
		return below.Name + " below it: " + below.unfit()
	case !below.Up:
		return below.Name + " below it is down"
	case below.MAC != n.MAC:
		return "it has another MAC address than " + below.Name + " below it"
	case below.Strips:
		return below.Name + " below it takes tags off before XDP sees them (ethtool -K " + below.Name + " rxvlan off)"
	}
	return ""
}

func byIndex(all []netDevice, ifindex int) *netDevice {
	for i := range all {
		if all[i].Ifindex == ifindex {
			return &all[i]
		}
	}
	return nil
}

// on lists what the entries of an address are on: the device itself, and VLAN devices on top of it. allowed are the client's names, none
// for all.
func (n *netDevice) on(k key, allowed []string) (out []steer.Link) {
	may := func(name string) bool { return len(allowed) == 0 || slices.Contains(allowed, name) }
	if n.carries(k) && may(n.Name) {
		out = append(out, steer.Untagged)
	}
	for _, v := range n.VLANs {
		if v.Up && v.carries(k) && may(v.Name) {
			out = append(out, v.Link)
		}
	}
	return out
}

// addrs are those of the device and of what is on top of it.
func (n *netDevice) addrs() []netip.Addr {
	out := slices.Clone(n.Addrs)
	for _, v := range n.VLANs {
		out = append(out, v.Addrs...)
	}
	return out
}

// update takes in what became of a device that is in use.
func (d *device) update(n netDevice) {
	if d.trunk == nil && n.MAC != d.MAC {
		d.space.b.log.Infof("broker: %s has another link address: %x", d.Name, n.MAC)
		d.note(d.prog.SetMAC(n.MAC))
	}
	d.netDevice = n
	for _, v := range n.VLANs {
		if !slices.Contains(d.vlans, v.VLAN) {
			d.vlans = append(d.vlans, v.VLAN)
		}
	}
	for _, s := range d.spurs {
		s.update(n)
	}
}

// tags are those that entries may have: of what is, or once was, on top of the device.
func (d *device) tags() []steer.Link {
	out := []steer.Link{steer.Untagged}
	for _, id := range d.vlans {
		out = append(out, steer.Link{VLAN: id})
	}
	return out
}

// setConnect leads one flow's packets here.
func (d *device) setConnect(t steer.Tuple) error {
	return d.setFlow(t, d.prog.SetConnect)
}

// setTaken is setConnect for a flow of which the kernel has a socket.
func (d *device) setTaken(t steer.Tuple) error {
	return d.setFlow(t, d.prog.SetTaken)
}

func (d *device) setFlow(t steer.Tuple, set func(steer.Link, steer.Tuple) error) error {
	links := d.on(key{t.Local.Addr(), t.Local.Port()}, nil)
	if len(links) == 0 { // packets for the address of another device may come by this one
		links = []steer.Link{steer.Untagged}
	}
	for _, on := range links {
		if err := set(on, t); err != nil {
			return err
		}
	}
	return nil
}

// delConnect undoes setConnect and setTaken.
func (d *device) delConnect(t steer.Tuple) {
	for _, on := range d.tags() {
		if !d.programEnded() {
			d.note(d.prog.DelConnect(on, t))
		}
	}
}

package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// netDevice is a network device as the broker sees it.
type netDevice struct {
	carrier
	Ifindex  int
	Loopback bool
	MAC      [6]byte
	MTU      int
	Queues   int // receive queues, at most
	Driver   string
	Kind     string // of a device that no hardware is behind, as in ip link: "veth", "bridge"; else "device"
	Ethernet bool

	VLAN   uint16       // of a VLAN device: its tag
	Below  int          // and the number of the device below
	Left   string       // why a VLAN device is left to the kernel
	Strips bool         // it takes 802.1Q tags off before XDP sees them
	VLANs  []vlanDevice // on top of it, if its queues carry them
}

// Devices lists the devices of a namespace.
func (kernel) Devices(ns int) (out []netDevice, err error) {
	err = netns.Do(ns, func() error {
		links, err := whole(netlink.LinkList)
		if err != nil {
			return fmt.Errorf("list devices: %w", err)
		}
		sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("list devices: %w", err)
		}
		defer unix.Close(sock)
		for _, l := range links {
			if n, err := describe(l, sock); err == nil { // else it vanished meanwhile
				out = append(out, n)
			}
		}
		takesTagsOff(out)
		return nil
	})
	return out, err
}

// whole asks for a list again while something changed in the middle of it: then it is not complete (NLM_F_DUMP_INTR of netlink(7)), and a
// device would seem to have gone, or to have no address. After maxLooks it is taken as it is.
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	for range maxLooks {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, nil
}

const maxLooks = 100

func describe(l netlink.Link, sock int) (netDevice, error) {
	a := l.Attrs()
	n := netDevice{
		carrier: carrier{Name: a.Name, Up: a.RawFlags&unix.IFF_UP != 0}, Ifindex: a.Index, MTU: a.MTU, Queues: max(1, a.NumRxQueues),
		Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
		Kind:     l.Type(), Ethernet: a.EncapType == "ether",
	}
	if v, ok := l.(*netlink.Vlan); ok {
		n.describeVLAN(v)
	}
	copy(n.MAC[:], a.HardwareAddr)
	addrs, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return n, err
	}
	for _, ad := range addrs {
		if ip, ok := netip.AddrFromSlice(ad.IP); ok {
			n.Addrs = append(n.Addrs, ip.Unmap())
		}
	}
	if info, err := unix.IoctlGetEthtoolDrvinfo(sock, a.Name); err == nil {
		n.Driver = unix.ByteSliceToString(info.Driver[:])
	}
	return n, nil
}

// carries tells whether connections to the listener's address can arrive at the device.
func (n *carrier) carries(k key) bool {
	return slices.ContainsFunc(n.Addrs, func(a netip.Addr) bool {
		switch {
		case !k.ip.IsValid():
			return true
		case k.ip.IsUnspecified():
			return a.Is4() == k.ip.Is4()
		default:
			return a == k.ip.WithZone("")
		}
	})
}

// choose picks the devices for an address, and says what was left out and why.
func choose(all []netDevice, k key, allowed []string) (use []netDevice, notes []string) {
	for _, n := range all {
		switch {
		case !n.carries(k):
		case n.Loopback:
			if k.ip.IsValid() && !k.ip.IsUnspecified() {
				notes = append(notes, fmt.Sprintf("%v is a loopback address", k.ip))
			}
		case len(allowed) > 0 && !slices.Contains(allowed, n.Name):
			notes = append(notes, "device "+n.Name+" left out: not in SLUICE_DEVICES")
		case !n.Up:
			notes = append(notes, "device "+n.Name+" left out: it is down")
		case n.unfit() != "":
			notes = append(notes, "device "+n.Name+" left out: "+n.unfit())
		case n.VLAN != 0:
			use = withDevice(use, *byIndex(all, n.Below))
		default:
			use = withDevice(use, n)
		}
	}
	if len(use) == 0 && len(notes) == 0 {
		notes = []string{fmt.Sprintf("no device carries an address for %v", k)}
	}
	return use, notes
}

func withDevice(use []netDevice, n netDevice) []netDevice {
	if byIndex(use, n.Ifindex) != nil {
		return use
	}
	return append(use, n)
}

// because joins notes into the text of a refusal.
func because(notes []string) error { return refuse("%s", strings.Join(notes, "; ")) }

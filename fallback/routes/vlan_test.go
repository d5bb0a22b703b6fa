package routes

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// announcement is an RTM_NEWLINK of device 9, "d0.100", as the kernel makes it for a VLAN device on top of device 5.
func announcement(kind string, protocol, id uint16, more ...*nl.RtAttr) []byte {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = 9
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated(kind))
	data := info.AddRtAttr(unix.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_VLAN_PROTOCOL, binary.BigEndian.AppendUint16(nil, protocol))
	data.AddRtAttr(nl.IFLA_VLAN_ID, nl.Uint16Attr(id))
	b := msg.Serialize()
	for _, a := range append([]*nl.RtAttr{nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("d0.100")), info}, more...) {
		b = append(b, a.Serialize()...)
	}
	return b
}

// A VLAN device of 802.1Q is told with its tag and the device below, as long as that is in the same namespace; nothing else is one.
func TestLinkOfAVLAN(t *testing.T) {
	below := nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(5))
	for _, c := range []struct {
		what  string
		b     []byte
		vlan  uint16
		below int
	}{
		{"802.1Q", announcement("vlan", unix.ETH_P_8021Q, 100, below), 100, 5},
		{"802.1ad", announcement("vlan", unix.ETH_P_8021AD, 100, below), 0, 0},
		{"another kind", announcement("macvlan", unix.ETH_P_8021Q, 100, below), 0, 0},
		{"below is elsewhere", announcement("vlan", unix.ETH_P_8021Q, 100, below, nl.NewRtAttr(unix.IFLA_LINK_NETNSID, nl.Uint32Attr(0))), 0, 0},
		{"nothing below", announcement("vlan", unix.ETH_P_8021Q, 100), 0, 0},
	} {
		i, l := parseLink(c.b)
		require.Equal(t, 9, i, c.what)
		require.Equal(t, Link{Name: "d0.100", VLAN: c.vlan, Below: c.below}, l, c.what)
	}
}

// What a link is becomes part of each hop by it.
func TestHopsTellTheVLAN(t *testing.T) {
	link := newNamespace(t)
	r := newRouter(t)
	i := link.Attrs().Index
	l, err := r.Link(i)
	require.NoError(t, err)
	require.Zero(t, l.VLAN, "a veth, which has a device \"below\", too")
	l.VLAN, l.Below = 100, 77 // the kernel of the tests has no VLAN devices
	r.links[i] = l
	setNeighbour(t, link, peer4, peerMAC)
	h, err := r.Route(peer4, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, []int{i, 100, 77}, []int{h.Ifindex, int(h.VLAN), h.Below})
}

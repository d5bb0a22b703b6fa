package efvi_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
)

func TestFilterSpecs(t *testing.T) {
	at, peer := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:999")
	for want, s := range map[string]efvi.FilterSpec{
		"tcp to 10.0.0.1:80":                  efvi.IPLocal(efvi.TCP, at),
		"tcp 10.0.0.2:999 to 10.0.0.1:80":     efvi.IPFull(efvi.TCP, at, peer),
		"udp to [::]:53":                      efvi.IPLocal(efvi.UDP, netip.MustParseAddrPort("[::]:53")),
		"ether to 020000000001 on vlan 5":     efvi.EthLocal([6]byte{2, 0, 0, 0, 0, 1}).OnVLAN(5),
		"ether type 0x88b5":                   efvi.EthType(0x88b5),
		"all on vlan 7":                       efvi.All().OnVLAN(7),
		"all unicast":                         efvi.UnicastAll(),
		"all multicast on vlan 0":             efvi.MulticastAll().OnVLAN(0),
		"tcp to 10.0.0.1:80 on vlan 4095":     efvi.IPLocal(efvi.TCP, at).OnVLAN(0xffff),
		"udp [2001:db8::2]:1 to [::ffff:1]:2": efvi.IPFull(efvi.UDP, netip.MustParseAddrPort("[::ffff:1]:2"), netip.MustParseAddrPort("[2001:db8::2]:1")),
	} {
		require.Equal(t, want, s.String())
		require.NoError(t, s.Check(), want)
	}
	mapped := netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 80)
	require.Equal(t, efvi.IPLocal(efvi.TCP, at), efvi.IPLocal(efvi.TCP, mapped), "a mapped address is an IPv4 address")
}

func TestFilterSpecsThatAreNone(t *testing.T) {
	at, six := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[::1]:80")
	for why, s := range map[string]efvi.FilterSpec{
		"kind 0":                      {},
		"needs a type":                efvi.EthType(0),
		"only tcp and udp have ports": efvi.IPLocal(1, at),
		"local address":               efvi.IPLocal(efvi.TCP, netip.AddrPort{}),
		"both ends whole":             efvi.IPFull(efvi.TCP, at, netip.MustParseAddrPort("0.0.0.0:5")),
		"two families":                efvi.IPFull(efvi.TCP, at, six),
	} {
		require.ErrorContains(t, s.Check(), why)
	}
}

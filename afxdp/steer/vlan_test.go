package steer_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// tagged is a frame with one tag.
func tagged(p bedtest.Packet, control uint16) []byte {
	p.Tags = []uint16{control}
	return p.Bytes()
}

// Entries of a VLAN, of another one, and of the device itself do not see each other's frames, whatever the addresses.
func TestVerdictOfTaggedFrames(t *testing.T) {
	r := newRig(t)
	one, dialed := r.packet(false, 1, onePort), r.packet(false, dialPort, dialedPort)
	for control, want := range map[uint16]string{
		oneVLAN: "redirected", 0xe000 | oneVLAN: "redirected", 0x1000 | oneVLAN: "redirected", // priority and eligibility to be dropped mean nothing
		anyVLAN: "no_entry", 4095: "no_entry", 1: "no_entry",
		0: "redirected", 0xe000: "redirected", // a priority alone: the device's own frame
	} {
		r.want(want, 0, tagged(one, control), "listener on an address")
		r.want(want, 0, tagged(dialed, control), "connect entry")
		r.want(map[string]string{"redirected": "icmp_redirected"}[want]+map[string]string{"no_entry": "no_entry"}[want], 0,
			tagged(r.icmp(false, 3, one, 99), control), "ICMP error")
	}
	r.want("no_entry", 0, tagged(r.packet(true, 1, onePort), oneVLAN), "the listener on the VLAN is on an IPv4 address")
	r.want("no_queue", 1, tagged(one, oneVLAN), "no socket on the queue")
	for _, v6 := range []bool{false, true} {
		p := r.packet(v6, 1, anyPort)
		r.want("redirected", 0, tagged(p, anyVLAN), "wildcard listener")
		r.want("no_entry", 0, tagged(p, oneVLAN), "wildcard listener of another VLAN and of the device itself")
		whole := tagged(p, anyVLAN)
		for n := 14; n < len(whole); n++ {
			r.want("malformed", 0, whole[:n], "cut off")
		}
		p.DstMAC[5] ^= 1
		r.want("other_host", 0, tagged(p, anyVLAN), "another host's MAC address")
	}
	provider := tagged(one, oneVLAN)
	provider[12], provider[13] = 0x88, 0xa8
	r.want("not_tcp", 0, provider, "an 802.1ad tag")

	local := r.packet(true, 1, anyPort)
	local.Dst = netip.AddrPortFrom(netip.MustParseAddr("fe80::1"), anyPort)
	r.want("no_entry", 0, tagged(local, anyVLAN), "a link-local address of a VLAN device")
	r.want("redirected", 0, local.Bytes(), "one of the device itself")

	at := steer.Link{VLAN: oneVLAN}
	require.NoError(t, r.port.Program.DelListener(at, r.bed.Server.IPv4, onePort))
	require.NoError(t, r.port.Program.DelConnect(at, steer.Tuple{Local: dialed.Dst, Remote: dialed.Src}))
	r.want("no_entry", 0, tagged(one, oneVLAN), "deleted")
	r.want("no_entry", 0, tagged(dialed, oneVLAN), "deleted")
	r.want("redirected", 0, one.Bytes(), "the device's own entry stays")
	r.want("redirected", 0, dialed.Bytes(), "the device's own entry stays")
}

// The kernel's connections stay its own on a VLAN, too, and a router's packets are not taken by a port.
func TestTaggedFramesOfTheKernel(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.port.Program.DelQueue(0))
	_, remote := kernelConnection(r, r.packet(false, 1, anyPort).Dst)
	p := r.packet(false, remote.Port(), anyPort)
	p.Flags = bedtest.ACK
	r.want("kernel_socket", 0, tagged(p, anyVLAN), "established in the kernel")
	require.NoError(t, r.bed.Server.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
	}))
	p.Dst, p.Src = netip.AddrPortFrom(p.Src.Addr(), anyPort), netip.AddrPortFrom(p.Src.Addr().Next(), 1)
	r.want("forwarded", 0, tagged(p, anyVLAN), "for another host")
	listeners, err := r.port.Program.Listeners()
	require.NoError(t, err)
	require.Contains(t, listeners, steer.ListenerEntry{
		On:       steer.Link{VLAN: anyVLAN, Ifindex: r.bed.Server.Ifindex},
		AddrPort: netip.AddrPortFrom(netip.IPv4Unspecified(), anyPort),
	})
}

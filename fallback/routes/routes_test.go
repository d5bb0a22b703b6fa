package routes

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	peerMAC = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	peer4   = netip.MustParseAddr("192.0.2.9")
	peer6   = netip.MustParseAddr("2001:db8::9")
)

// newNamespace moves the test's thread into an empty network namespace with a veth pair, d0 with 192.0.2.1/24 and
// 2001:db8::1/64. The thread is never unlocked, so it ends with the test's goroutine and the namespace with it.
func newNamespace(t *testing.T) netlink.Link {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	require.NoError(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "d0", MTU: 1400}, PeerName: "d1"}))
	link, err := netlink.LinkByName("d0")
	require.NoError(t, err)
	end, err := netlink.LinkByName("d1")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(end))
	require.NoError(t, netlink.LinkSetUp(link))
	for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		addr, err := netlink.ParseAddr(a)
		require.NoError(t, err)
		addr.Flags = unix.IFA_F_NODAD
		require.NoError(t, netlink.AddrAdd(link, addr))
	}
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(lo))
	return link
}

func newRouter(t *testing.T) *Router {
	t.Helper()
	r, err := New(200)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func setNeighbour(t *testing.T, link netlink.Link, a netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	require.NoError(t, netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac,
	}))
}

// changed processes announcements until the generation differs from before.
func changed(t *testing.T, r *Router, before uint64) {
	t.Helper()
	wait(t, "an announcement", func() bool { r.Process(); return r.Generation() != before })
}

// wait polls on the test's own thread, the only one in the namespace.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "no %s in 15 s", what)
	}
}

func TestAnswersAreTheKernels(t *testing.T) {
	link := newNamespace(t)
	r := newRouter(t)
	require.GreaterOrEqual(t, r.FD(), 200)

	h, err := r.Route(peer4, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, Hop{Ifindex: link.Attrs().Index, MTU: 1400, Src: netip.MustParseAddr("192.0.2.1"), NextHop: peer4}, h)

	setNeighbour(t, link, peer4, peerMAC)
	setNeighbour(t, link, peer6, peerMAC)
	h, err = r.Route(peer4, netip.Addr{})
	require.NoError(t, err)
	require.True(t, h.Resolved)
	require.Equal(t, [6]byte(peerMAC), h.MAC)

	h, err = r.Route(peer6, netip.MustParseAddr("2001:db8::1"))
	require.NoError(t, err)
	require.True(t, h.Resolved)
	require.Equal(t, 1400, h.MTU)

	_, err = r.Route(netip.MustParseAddr("192.0.2.1"), netip.Addr{})
	require.ErrorIs(t, err, ErrLocal)
	_, err = r.Route(netip.MustParseAddr("198.51.100.1"), netip.Addr{})
	require.ErrorIs(t, err, ErrUnreachable)
	_, err = r.Route(netip.MustParseAddr("192.0.2.255"), netip.Addr{})
	require.ErrorIs(t, err, ErrNotUnicast)
}

func TestChangesReachTheAnswers(t *testing.T) {
	link := newNamespace(t)
	setNeighbour(t, link, peer4, peerMAC)
	r := newRouter(t)
	far := netip.MustParseAddr("198.51.100.1")

	before := r.Generation()
	require.NoError(t, netlink.RouteAdd(&netlink.Route{
		Dst: &net.IPNet{IP: net.IPv4(198, 51, 100, 0), Mask: net.CIDRMask(24, 32)}, Gw: peer4.AsSlice(), MTU: 1300,
	}))
	changed(t, r, before)
	h, err := r.Route(far, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, peer4, h.NextHop, "through the gateway")
	require.Equal(t, 1300, h.MTU, "the route's MTU is below the link's")

	before = r.Generation()
	require.NoError(t, netlink.LinkSetMTU(link, 1290))
	changed(t, r, before)
	h, err = r.Route(far, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, 1290, h.MTU)

	before = r.Generation()
	other := net.HardwareAddr{2, 0, 0, 0, 0, 10}
	setNeighbour(t, link, peer4, other)
	changed(t, r, before)
	h, err = r.Route(far, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, [6]byte(other), h.MAC)
}

func TestResolveMakesTheKernelAsk(t *testing.T) {
	link := newNamespace(t)
	r := newRouter(t)
	for _, a := range []netip.Addr{peer4, peer6} {
		h, err := r.Route(a, netip.Addr{})
		require.NoError(t, err)
		require.False(t, h.Resolved)
		before := r.Generation()
		r.Resolve(h.Ifindex, h.NextHop)
		wait(t, "entry for "+a.String(), func() bool {
			l, err := netlink.NeighList(link.Attrs().Index, int(family(a)))
			return err == nil && slices.ContainsFunc(l, func(n netlink.Neigh) bool { return n.IP.Equal(a.AsSlice()) })
		})
		setNeighbour(t, link, a, peerMAC)
		changed(t, r, before)
		h, err = r.Route(a, netip.Addr{})
		require.NoError(t, err)
		require.True(t, h.Resolved)
	}
}

func TestAnAddressFoundByAskingIsTold(t *testing.T) {
	link := newNamespace(t)
	r := newRouter(t)
	h, err := r.Route(peer4, netip.Addr{})
	require.NoError(t, err)
	require.False(t, h.Resolved)
	before := r.Generation()
	setNeighbour(t, link, peer4, peerMAC)
	h, err = r.Route(peer4, netip.Addr{}) // before the announcement is read
	require.NoError(t, err)
	require.True(t, h.Resolved)
	require.NotEqual(t, before, r.Generation(), "whoever holds the first answer must learn of it")
}

func TestKeptAnswersCostNothing(t *testing.T) {
	link := newNamespace(t)
	setNeighbour(t, link, peer4, peerMAC)
	r := newRouter(t)
	_, err := r.Route(peer4, netip.Addr{})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Route(peer4, netip.Addr{}) }))
}

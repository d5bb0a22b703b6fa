package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// The client has an address to which the server's way is by another device, one that is not used: what comes from it is the kernel's.
func TestAnswersThatLeaveByAnotherDevice(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	for _, n := range []*testbed.Node{r.Server, r.Client} {
		require.NoError(t, n.Do(func() error {
			for _, dev := range []string{"all", "default", n.Device} {
				if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+dev+"/rp_filter", []byte("0"), 0); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	ip := func(n *testbed.Node, args string) { testrig.Run(t, n, "ip", strings.Fields(args)...) }
	ip(r.Server, "link add back0 type veth peer name back0 netns "+r.Client.Name)
	ends := map[*testbed.Node][3]string{r.Server: {"10.66.0.1", "fd66::1"}, r.Client: {"10.66.0.2", "fd66::2"}}
	for n, at := range ends {
		ip(n, "addr add "+at[0]+"/24 dev back0")
		ip(n, "addr add "+at[1]+"/64 dev back0 nodad")
		ip(n, "link set back0 up")
	}
	far := []netip.Addr{netip.MustParseAddr("10.88.0.2"), netip.MustParseAddr("fd88::2")}
	for i, a := range far {
		ip(r.Client, fmt.Sprintf("addr add %v dev lo", a))
		ip(r.Server, fmt.Sprintf("route add %v via %s dev back0", a, ends[r.Client][i]))
	}
	x := r.nginx(append(r.Env(), "SLUICE_DEVICES="+r.Server.Device), []string{testrig.Built(t, "sluice"), "run", "--"})
	r.waitAccelerated(x)
	page, err := os.ReadFile(filepath.Join(x.Root(), "index.html"))
	require.NoError(t, err)
	for i, server := range []netip.Addr{r.Server.IPv4, r.Server.IPv6} {
		url := fmt.Sprintf("http://%v/index.html", netip.AddrPortFrom(server, uint16(x.Port)))
		before := r.packets()
		for range 3 {
			require.Equal(t, string(page), testrig.Run(t, r.Client, "curl", "-sS", "-m", "15", "--interface", far[i].String(), url))
		}

		require.Equal(t, string(page), testrig.Run(t, r.Client, "curl", "-sS", "-m", "15", url))
		require.Greater(t, r.packets(), before, "others are accelerated as ever")
	}
}

package suites

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// mirror is a host whose packets to its own address leave by its device, and come back by it: the other namespace is a router that
// sends them back. So both ends of a connection may be on the host, and accelerated.
//
//	┌─ host ───────────────┐            ┌─ router ─────┐
//	│ 10.77.0.1 ── veth0 ──╪── A to A ──╪─ veth0 ──┐   │
//	│              veth0 ──╪── A to A ──╪─ veth0 ──┘   │
//	└──────────────────────┘            └──────────────┘
type mirror struct {
	*testrig.Rig
	hosts string // a file for /etc/hosts, in which localhost is the mirrored address
}

// repairMark is on the segments that a move to the kernel sends to the new socket in the peer's name (fallback/repair): they stay inside.
const repairMark = "0x51d1ce"

func newMirror(t *testing.T) *mirror {
	m := &mirror{Rig: testrig.New(t, testbed.Config{Queues: 2})}
	require.NoError(t, m.Client.Do(func() error { return sysctls(routerSysctls) }))
	require.NoError(t, m.Server.Do(func() error { return sysctls(hostSysctls) }))
	for _, v := range []struct{ family, own, router string }{
		{"-4", m.Server.IPv4.String(), m.Client.IPv4.String()}, {"-6", m.Server.IPv6.String(), m.Client.IPv6.String()},
	} {
		for _, cmd := range []string{
			"route add " + v.own + " via " + v.router + " dev veth0 src " + v.own + " table 100",
			"rule add pref 5 fwmark " + repairMark + " lookup local",
			"rule add pref 10 iif lo to " + v.own + " lookup 100", // iif lo: what this host sends
			"rule add pref 20 lookup local",
			"rule del pref 0 lookup local",
		} {
			_, err := m.Server.Run("ip", append([]string{v.family}, strings.Fields(cmd)...)...)
			require.NoError(t, err, cmd)
		}
	}
	name, err := os.Hostname()
	require.NoError(t, err)
	m.hosts = m.Dir + "/hosts"
	text := fmt.Sprintf("%v localhost\n%v localhost ip6-localhost ip6-loopback\n%v %s\n", m.Server.IPv4, m.Server.IPv6, m.Server.IPv4, name)
	require.NoError(t, os.WriteFile(m.hosts, []byte(text), 0o644))
	return m
}

var routerSysctls = map[string]string{
	"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/all/send_redirects": "0", "ipv4/conf/veth0/send_redirects": "0",
	"ipv4/conf/all/rp_filter": "0", "ipv4/conf/veth0/rp_filter": "0",
}

var hostSysctls = map[string]string{
	"ipv4/conf/all/rp_filter": "0", "ipv4/conf/veth0/rp_filter": "0", "ipv4/conf/veth0/accept_local": "1",
	"ipv4/conf/all/accept_redirects": "0", "ipv4/conf/veth0/accept_redirects": "0", "ipv6/conf/veth0/accept_redirects": "0",
}

// sysctls sets what is below net in the namespace of this thread.
func sysctls(values map[string]string) error {
	for name, v := range values {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(v), 0o644); err != nil {
			return err
		}
	}
	return nil
}

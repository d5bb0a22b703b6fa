package ethtool_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
)

var order = binary.NativeEndian

// job is one thing to do to a device, in ethtool(8)'s words and in ours.
type job struct {
	args string
	ours func(n ethtool.NIC) error
}

func rule(m ethtool.Match, queue uint64) func(ethtool.NIC) error {
	return func(n ethtool.NIC) error {
		_, err := n.Insert(ethtool.Rule{Match: m, Queue: queue, Location: ethtool.AnyLocation})
		return err
	}
}

func at(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	tcp4 = ethtool.IP(false, false)
	tcp6 = ethtool.IP(false, true)
	jobs = []job{
		{"-N fake0 flow-type tcp4 dst-ip 10.1.2.3 dst-port 80 action 3", rule(tcp4.To(at("10.1.2.3")).ToPort(80), 3)},
		{"-N fake0 flow-type tcp4 dst-port 443 action 2", rule(tcp4.ToPort(443), 2)},
		{"-N fake0 flow-type tcp4 action 1", rule(tcp4, 1)},
		{"-N fake0 flow-type udp4 dst-port 53 action -1", rule(ethtool.IP(true, false).ToPort(53), ethtool.Discard)},
		{
			"-N fake0 flow-type tcp4 src-ip 192.0.2.1 dst-ip 10.1.2.3 src-port 999 dst-port 80 action 3",
			rule(tcp4.From(at("192.0.2.1")).To(at("10.1.2.3")).FromPort(999).ToPort(80), 3),
		},
		{
			"-N fake0 flow-type tcp6 src-ip 2001:db8::2 dst-ip 2001:db8::1 src-port 443 dst-port 40000 action 2",
			rule(tcp6.From(at("2001:db8::2")).To(at("2001:db8::1")).FromPort(443).ToPort(40000), 2),
		},
		{"-N fake0 flow-type tcp6 dst-ip 2001:db8::1 dst-port 80 action 3", rule(tcp6.To(at("2001:db8::1")).ToPort(80), 3)},
		{"-N fake0 flow-type udp6 src-ip 2001:db8::2 action 0", rule(ethtool.IP(true, true).From(at("2001:db8::2")), 0)},
		{"-N fake0 flow-type ether dst 02:00:00:00:00:05 action 1", rule(ethtool.Ether().ToMAC([6]byte{2, 0, 0, 0, 0, 5}, [6]byte{255, 255, 255, 255, 255, 255}), 1)},
		{"-N fake0 flow-type ether dst 00:00:00:00:00:00 m fe:ff:ff:ff:ff:ff action 1", rule(ethtool.Ether().ToMAC([6]byte{}, [6]byte{1}), 1)},
		{"-N fake0 flow-type ether dst 01:00:00:00:00:00 m fe:ff:ff:ff:ff:ff action 2", rule(ethtool.Ether().ToMAC([6]byte{1}, [6]byte{1}), 2)},
		{"-N fake0 flow-type ether action 3", rule(ethtool.Ether(), 3)},
		{"-N fake0 flow-type ether vlan 7 m 0xf000 action 3", rule(ethtool.Ether().OnVLAN(7), 3)},
		{"-N fake0 flow-type tcp4 dst-ip 10.1.2.3 action 2", rule(tcp4.To(at("10.1.2.3")), 2)},
		{"-N fake0 flow-type tcp6 action 2", rule(tcp6, 2)},
		{"-N fake0 flow-type udp6 dst-port 53 action 2", rule(ethtool.IP(true, true).ToPort(53), 2)},
		{"-N fake0 flow-type tcp4 dst-port 80 vlan 5 m 0xf000 action 3", rule(tcp4.ToPort(80).OnVLAN(5), 3)},
		{"-N fake0 flow-type tcp4 dst-port 81 action 3 loc 7", func(n ethtool.NIC) error {
			_, err := n.Insert(ethtool.Rule{Match: tcp4.ToPort(81), Queue: 3, Location: 7})
			return err
		}},
		{"-N fake0 delete 7", func(n ethtool.NIC) error { return n.Delete(7) }},
		{"-X fake0 equal 3", func(n ethtool.NIC) error { return n.SetTable(0, []uint32{0, 1, 2, 0, 1, 2, 0, 1}) }},
		{"-X fake0 default", func(n ethtool.NIC) error { return n.SetTable(0, nil) }},
		{"-X fake0 context new start 2 equal 2", func(n ethtool.NIC) error {
			_, err := n.AddContext([]uint32{2, 3, 2, 3, 2, 3, 2, 3})
			return err
		}},
		{"-N fake0 flow-type tcp4 dst-port 80 context 1", func(n ethtool.NIC) error {
			_, err := n.Insert(ethtool.Rule{Match: tcp4.ToPort(80), Context: 1, Location: ethtool.AnyLocation})
			return err
		}},
		{"-X fake0 context 1 start 1 equal 3", func(n ethtool.NIC) error { return n.SetTable(1, []uint32{1, 2, 3, 1, 2, 3, 1, 2}) }},
		{"-X fake0 context new start 1 equal 2", func(n ethtool.NIC) error {
			_, err := n.AddContext([]uint32{1, 2, 1, 2, 1, 2, 1, 2})
			return err
		}},
		{"-N fake0 flow-type tcp6 dst-ip 2001:db8::1 dst-port 443 context 2 loc 9", func(n ethtool.NIC) error {
			_, err := n.Insert(ethtool.Rule{Match: tcp6.To(at("2001:db8::1")).ToPort(443), Context: 2, Location: 9})
			return err
		}},
		{"-N fake0 delete 9", func(n ethtool.NIC) error { return n.Delete(9) }},
		{"-X fake0 context 2 delete", func(n ethtool.NIC) error { return n.DeleteContext(2) }},
		{"-N fake0 delete LAST", nil}, // put in below
		{"-X fake0 context 1 delete", func(n ethtool.NIC) error { return n.DeleteContext(1) }},
	}
)

// For each job the real ethtool(8) and this package change a device by the same bytes. Where they differ in what they ask beforehand,
// nothing depends on it: what is compared is every request that sets something, and the state at the end.
func TestAsksAsEthtoolDoes(t *testing.T) {
	for _, special := range []bool{false, true} {
		t.Run(fmt.Sprint("special=", special), func(t *testing.T) {
			m := fakenic.Model{Rings: 4, Rules: 64, Special: special, Table: 8, Key: 40, Contexts: 2}
			theirs, mine := fakenic.New("fake0", m), fakenic.New("fake0", m)
			n := ethtool.NIC{Name: "fake0", Call: mine}
			for _, j := range jobs {
				args, ours := j.args, j.ours
				if ours == nil {
					last := ruleWithContext(t, n)
					args, ours = strings.Replace(args, "LAST", fmt.Sprint(last), 1), func(n ethtool.NIC) error { return n.Delete(last) }
				}
				runEthtool(t, theirs, strings.Fields(args)...)
				require.NoError(t, ours(n), args)
				require.Equal(t, setters(theirs), setters(mine), args)
				require.Equal(t, theirs.State(), mine.State(), args)
			}
		})
	}
}

func ruleWithContext(t *testing.T, n ethtool.NIC) uint32 {
	rules, err := n.Rules()
	require.NoError(t, err)
	for _, r := range rules {
		if r.Context == 1 {
			return r.Location
		}
	}
	t.Fatal("no rule leads to context 1")
	return 0
}

// setters are the requests that change something, as hexadecimal text. ethtool(8) leaves what no driver reads as its stack has it: in an
// insertion data and the padding at the end, in a deletion all but the location.
func setters(n *fakenic.NIC) (out []string) {
	for _, req := range n.Log() {
		switch order.Uint32(req) {
		case unix.ETHTOOL_SRXCLSRLINS:
			clear(req[8:16])
			clear(req[188:192])
		case unix.ETHTOOL_SRXCLSRLDEL:
			clear(req[4:176])
			clear(req[180:192])
		case unix.ETHTOOL_SRSSH:
		default:
			continue
		}
		out = append(out, fmt.Sprintf("%x", req))
	}
	return out
}

// What ethtool(8) prints of a device that we changed is what we meant.
func TestEthtoolShowsWhatWeSet(t *testing.T) {
	nic := fakenic.New("fake0", fakenic.Model{Rings: 4, Rules: 64, Table: 8, Key: 40})
	n := ethtool.NIC{Name: "fake0", Call: nic}
	loc, err := n.Insert(ethtool.Rule{Match: tcp4.To(at("10.1.2.3")).ToPort(80), Queue: 3, Location: ethtool.AnyLocation})
	require.NoError(t, err)
	require.EqualValues(t, 63, loc, "the last place: rules of an administrator, before it, win")
	shown := runEthtool(t, nic, "-n", "fake0")
	for _, want := range []string{"4 RX rings available", "Total 1 rules", "Filter: 63", "Rule Type: TCP over IPv4", "Dest IP addr: 10.1.2.3 mask: 0.0.0.0", "Dest port: 80 mask: 0x0", "Action: Direct to queue 3"} {
		require.Contains(t, shown, want)
	}
	require.NoError(t, n.SetTable(0, []uint32{0, 1, 2, 0, 1, 2, 0, 1}))
	shown, _ = traceEthtool(t, nic, "-x", "fake0") // it ends with 1, since the fake has no names for hash functions
	require.Contains(t, shown, "0:      0     1     2     0     1     2     0     1")
	s, err := n.Spread(0)
	require.NoError(t, err)
	require.Equal(t, []uint32{0, 1, 2, 0, 1, 2, 0, 1}, s.Table)
	require.Len(t, s.Key, 40)
}

func TestRulesReadBack(t *testing.T) {
	nic := fakenic.New("fake0", fakenic.Model{Rings: 4, Rules: 64})
	n := ethtool.NIC{Name: "fake0", Call: nic}
	want := ethtool.Rule{Match: tcp6.To(at("2001:db8::1")).ToPort(80).OnVLAN(9), Queue: 2, Location: 5}
	_, err := n.Insert(want)
	require.NoError(t, err)
	got, err := n.Rules()
	require.NoError(t, err)
	require.Equal(t, []ethtool.Rule{want}, got)
	require.Equal(t, "tcp6 dst-ip 2001:db8::1 dst-port 80 vlan 9 action 2", got[0].String())
	rings, err := n.Rings()
	require.NoError(t, err)
	require.Equal(t, 4, rings)
	require.ErrorIs(t, n.Delete(6), unix.ENOENT)
}

package hidden_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
	"github.com/sluice-net/sluice/afxdp/hidden"
	"github.com/sluice-net/sluice/efvi"
)

var (
	addrs = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("2001:db8::1")}
	peer4 = netip.MustParseAddrPort("192.0.2.7:5555")
	peer6 = netip.MustParseAddrPort("[2001:db8::7]:5555")
	web   = efvi.IPLocal(efvi.TCP, netip.AddrPortFrom(addrs[0], 80))
	anyIP = efvi.IPLocal(efvi.TCP, netip.MustParseAddrPort("0.0.0.0:80"))
)

// packet is one that a filter of connections matches.
func packet(s efvi.FilterSpec, to netip.Addr) ethtool.Match {
	from := peer4
	if to.Is6() {
		from = peer6
	}
	if s.Kind == efvi.FilterIPFull {
		from = s.Remote
	}
	m := ethtool.IP(s.Proto == efvi.UDP, to.Is6()).From(from.Addr()).FromPort(from.Port()).To(to).ToPort(s.Local.Port())
	m.VLAN = s.VLAN
	return m
}

// destinations are the host's addresses that a filter covers.
func destinations(s efvi.FilterSpec) (out []netip.Addr) {
	for _, a := range addrs {
		if a == s.Local.Addr() || s.Local.Addr().IsUnspecified() && a.Is6() == s.Local.Addr().Is6() {
			out = append(out, a)
		}
	}
	return out
}

func randomSpec(rnd *rand.Rand) efvi.FilterSpec {
	to := netip.AddrPortFrom(addrs[rnd.IntN(len(addrs))], uint16(80+rnd.IntN(3)))
	if rnd.IntN(3) == 0 {
		to = netip.AddrPortFrom([]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[rnd.IntN(2)], to.Port())
	}
	proto := []efvi.Protocol{efvi.TCP, efvi.UDP}[rnd.IntN(2)]
	s := efvi.IPLocal(proto, to)
	if rnd.IntN(3) == 0 && !to.Addr().IsUnspecified() {
		peer := peer4
		if to.Addr().Is6() {
			peer = peer6
		}
		s = efvi.IPFull(proto, to, peer)
	}
	if rnd.IntN(5) == 0 {
		s = s.OnVLAN(uint16(rnd.IntN(3)))
	}
	return s
}

// Whatever is asked for, in whatever order, on whatever device: a filter that was granted gets every packet it matches; one that was
// refused changed nothing; and when all is given back the device is as it was.
func TestSteerRandomly(t *testing.T) {
	for name, m := range models {
		for seed := range uint64(40) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			f, n := device(m)
			before := f.State()
			h, _ := take(t, n, 1+rnd.IntN(m.Rings-1))
			granted := map[efvi.FilterSpec]int{}
			for step := range 40 {
				where := fmt.Sprintf("%s seed %d step %d", name, seed, step)
				randomStep(t, rnd, h, f, granted, where)
				for s := range granted {
					for _, to := range destinations(s) {
						q, dropped := f.Queue(packet(s, to), rnd.Uint32())
						require.False(t, dropped, where)
						require.Contains(t, h.Queues(), q, "%s: %v", where, s)
					}
				}
			}
			for s, users := range granted {
				for range users {
					require.NoError(t, h.Unsteer(s))
				}
			}
			require.Empty(t, f.State().Rules, "%s seed %d", name, seed)
			require.NoError(t, h.Release())
			require.Equal(t, before, f.State())
		}
	}
}

func randomStep(t *testing.T, rnd *rand.Rand, h *hidden.Queues, f *fakenic.NIC, granted map[efvi.FilterSpec]int, where string) {
	s := randomSpec(rnd)
	if users := granted[s]; users > 0 && rnd.IntN(2) == 0 {
		require.NoError(t, h.Unsteer(s), where)
		if granted[s]--; users == 1 {
			delete(granted, s)
		}
		return
	}
	before := f.State()
	if _, err := h.Steer(s, addrs); err != nil {
		require.Equal(t, before, f.State(), "%s: %v", where, err)
		return
	}
	granted[s]++
}

func TestSteerAsksForLessThenMore(t *testing.T) {
	for _, c := range []struct {
		model string
		spec  efvi.FilterSpec
		want  []string
	}{
		{"mlx5", web, []string{"tcp4 dst-ip 10.0.0.1 dst-port 80"}},
		{"mlx5", anyIP, []string{"tcp4 dst-port 80"}},
		{"mlx5", web.OnVLAN(4), []string{"tcp4 dst-ip 10.0.0.1 dst-port 80 vlan 4"}},
		{"small", web.OnVLAN(4), []string{"tcp4 dst-ip 10.0.0.1 dst-port 80"}},
		{"bnxt", efvi.IPFull(efvi.TCP, web.Local, peer4), []string{"tcp4 src-ip 192.0.2.7 dst-ip 10.0.0.1 src-port 5555 dst-port 80"}},
		{"mlx5", efvi.MulticastAll(), []string{"ether dst 010000000000 m 010000000000"}},
	} {
		_, n := device(models[c.model])
		h, _ := take(t, n, 1)
		got, err := h.Steer(c.spec, addrs)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, n := device(models["bnxt"])
	h, _ := take(t, n, 1)
	_, err := h.Steer(web, addrs)
	require.ErrorContains(t, err, "eth0 takes no rule for tcp to 10.0.0.1:80")
}

// On a card where all rules must look at the same fields, the first one decides.
func TestSteerFitsTheMaskInUse(t *testing.T) {
	_, n := device(models["ixgbe"])
	h, _ := take(t, n, 1)
	got, err := h.Steer(web, addrs)
	require.NoError(t, err)
	require.Equal(t, []string{"tcp4 dst-ip 10.0.0.1 dst-port 80"}, got)
	got, err = h.Steer(efvi.IPLocal(efvi.TCP, netip.MustParseAddrPort("0.0.0.0:81")), addrs)
	require.NoError(t, err)
	require.Equal(t, []string{"tcp4 dst-ip 10.0.0.1 dst-port 81", "tcp4 dst-ip 10.0.0.9 dst-port 81"}, got, "narrower: one for each address")
}

func TestRulesAreShared(t *testing.T) {
	f, n := device(models["mlx5"])
	h, _ := take(t, n, 1)
	for range 3 {
		_, err := h.Steer(web, addrs)
		require.NoError(t, err)
	}
	require.Len(t, f.State().Rules, 1)
	for range 2 {
		require.NoError(t, h.Unsteer(web))
		require.Len(t, f.State().Rules, 1)
	}
	require.NoError(t, h.Unsteer(web))
	require.Empty(t, f.State().Rules)
	require.Error(t, h.Unsteer(web), "given back once too often")
}

func TestRulesOfOthersAreNotCrossed(t *testing.T) {
	f, n := device(models["mlx5"])
	theirs := ethtool.Rule{Match: ethtool.IP(false, false).ToPort(80), Queue: 1, Location: 5}
	_, err := n.Insert(theirs)
	require.NoError(t, err)
	h, _ := take(t, n, 1)
	_, err = h.Steer(web, addrs)
	require.ErrorIs(t, err, hidden.ErrConflict)
	require.ErrorContains(t, err, "place 5, tcp4 dst-port 80 action 1")
	_, err = h.Steer(efvi.IPLocal(efvi.TCP, netip.MustParseAddrPort("10.0.0.1:81")), addrs)
	require.NoError(t, err, "another port is free")
	require.NoError(t, h.Release())
	require.Equal(t, map[uint32]ethtool.Rule{5: theirs}, f.State().Rules)
}

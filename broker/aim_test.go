package broker

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
)

var far = netip.MustParseAddrPort("192.0.2.9:443")

// arrives is the queue of an answer from far to a local port.
func arrives(t *testing.T, nic *fakenic.NIC, port uint16) int {
	t.Helper()
	m := ethtool.IP(false, false).From(far.Addr()).FromPort(far.Port()).To(here).ToPort(port)
	q, dropped := nic.Queue(m, 12345)
	require.False(t, dropped)
	return q
}

// connect asks for a flow from a port of a socket that it binds.
func (e *engine) connect(t *testing.T) (fd int, f proto.Connect, err error) {
	t.Helper()
	fds, ports := bound(t, 1, 0)
	t.Cleanup(func() { unix.Close(fds[0]) })
	f = proto.Connect{Local: netip.AddrPortFrom(here, ports[0]), Remote: far}
	var g proto.Grant
	got, err := e.c.Call(proto.OpConnect, f, fds, &g, patience)
	if err == nil {
		e.took(g, got)
	}
	return fds[0], f, err
}

func (e *engine) has(queue int) bool { return e.vis[proto.QueueRef{Ifindex: 7, Queue: queue}] }

// Before the SYN leaves, a rule for both ends leads the answer to a queue of the program's.
func TestAnswersAreLedToAHiddenQueue(t *testing.T) {
	nic := aCard()
	before := nic.State()
	h := hides(t, 2, nic)
	e := h.engine()
	_, f, err := e.connect(t)
	require.NoError(t, err)
	require.Len(t, e.vis, 2)
	require.True(t, e.has(arrives(t, nic, f.Local.Port())))
	rules := nic.State().Rules
	require.Len(t, rules, 1)
	for _, r := range rules {
		require.Equal(t, ethtool.IP(false, false).From(far.Addr()).FromPort(443).To(here).ToPort(f.Local.Port()), r.Match)
	}
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.flows) == 1 }))

	_, err = e.c.Call(proto.OpDisconnect, proto.Disconnect{Local: f.Local, Remote: f.Remote}, nil, nil, patience)
	require.NoError(t, err)
	require.Empty(t, nic.State().Rules)
	e.c.Close()
	until(t, "the card is as it was", func() bool { return len(nic.State().Contexts) == 1 })
	require.Equal(t, before, nic.State())
}

func TestLeasedPortsHaveARuleEach(t *testing.T) {
	nic := aCard()
	h := hides(t, 2, nic)
	e := h.engine()
	fds, ports := bound(t, 8, 0)
	_, err := e.lease(fds)
	require.NoError(t, err)
	require.Len(t, nic.State().Rules, 8)
	for _, p := range ports {
		require.True(t, e.has(arrives(t, nic, p)), "from whatever peer")
	}
	_, err = e.c.Call(proto.OpUnports, proto.Unports{Local: here, Ports: ports[:7]}, nil, nil, patience)
	require.NoError(t, err)
	require.Len(t, nic.State().Rules, 1)
	e.c.Close()
	until(t, "the last rule to go with its program", func() bool { return len(nic.State().Rules) == 0 })
}

// Workers of one server connect each for itself: the outlet stays with its process when the queues are divided anew.
func TestEachWorkerHasItsOutlet(t *testing.T) {
	nic := aCard()
	h := hides(t, 2, nic)
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	_, fa, err := a.connect(t)
	require.NoError(t, err)
	outlet := arrives(t, nic, fa.Local.Port())
	b.ready(b.listen(l))
	y := a.yield()
	require.Len(t, y.Queues, 1)
	require.NotEqual(t, outlet, y.Queues[0].Queue, "not the one with the rule")
	b.gets(1)
	_, fb, err := b.connect(t)
	require.NoError(t, err)
	require.True(t, b.has(arrives(t, nic, fb.Local.Port())))
	require.True(t, a.has(arrives(t, nic, fa.Local.Port())))
	require.Equal(t, 1, steered(nic, portOf(l)))

	other := h.engine()
	_, _, err = other.connect(t)
	require.NoError(t, err)
	require.True(t, len(other.vis) == 1 && other.has(firstPrivate))
	require.Len(t, nic.State().Rules, 3, "a spur needs no rule: the XDP program leads there from every queue")
}

// When the card takes no more rules the kernel connects, and listeners still find room.
func TestWhenRulesRunOutTheKernelConnects(t *testing.T) {
	nic := fakenic.New("eth0", fakenic.Model{Rings: 8, Rules: 16, Table: 64, Key: 40, Contexts: 4})
	h := hides(t, 2, nic)
	e := h.engine()
	fds, _ := bound(t, 9, 0)
	_, err := e.lease(fds)
	require.ErrorContains(t, err, "no space")
	require.Empty(t, nic.State().Rules, "of a block all or nothing")
	require.Zero(t, h.entries())
	require.Empty(t, e.vis)
	fds, _ = bound(t, 8, 0)
	_, err = e.lease(fds)
	require.NoError(t, err)
	require.Len(t, e.vis, 2)
	_, _, err = e.connect(t)
	require.ErrorContains(t, err, "no space", "half of the rules are connections'")
	e.ready(e.listen(kernelListener(t, "127.0.0.1:0")))
	require.Len(t, nic.State().Rules, 9)
}

// A rule of somebody else's for the same packets is not crossed, and a card that must look at both ends takes no rule for a port.
func TestConnectionsThatCannotBeAimed(t *testing.T) {
	nic := aCard()
	_, err := ethtool.NIC{Name: "eth0", Call: nic}.Insert(ethtool.Rule{Match: ethtool.IP(false, false).FromPort(443), Queue: 1, Location: 3})
	require.NoError(t, err)
	e := hides(t, 2, nic).engine()
	_, _, err = e.connect(t)
	require.ErrorContains(t, err, "another rule steers the same packets")
	require.Len(t, nic.State().Rules, 1)

	both := fakenic.New("eth0", fakenic.Model{Rings: 8, Rules: 16, AllMask: true, Table: 64, Key: 40, Contexts: 4})
	e = hides(t, 1, both).engine()
	fds, _ := bound(t, 1, 0)
	_, err = e.lease(fds)
	require.Error(t, err)
	require.Empty(t, both.State().Rules)
	_, _, err = e.connect(t)
	require.NoError(t, err)
	require.Len(t, both.State().Rules, 1)
}

// The next broker goes on with the rules of connections that live: each leads where it led.
func TestAimedRulesAreResumed(t *testing.T) {
	nic := aCard()
	k := newFakeKernel(8)
	k.nic = nic
	path := t.TempDir() + "/hidden/1-7.json"
	first, err := k.Hide(0, "eth0", 2, identity(1, 7), path)
	require.NoError(t, err)
	one := efvi.IPFull(efvi.TCP, netip.AddrPortFrom(here, 1000), far)
	two := efvi.IPLocal(efvi.TCP, netip.AddrPortFrom(here, 1001))
	require.NoError(t, first.Aim([]efvi.FilterSpec{one, two}, 7))
	during := nic.State()

	second, err := k.Hide(0, "eth0", 2, identity(1, 7), path)
	require.NoError(t, err)
	at, ok := second.Led(one)
	require.True(t, ok)
	require.Equal(t, 7, at)
	require.NoError(t, second.Aim([]efvi.FilterSpec{one}, 7))
	require.Equal(t, during, nic.State())
	require.NoError(t, second.Sweep())
	require.Len(t, nic.State().Rules, 1)
	require.NoError(t, second.Release())
}

package broker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
	"github.com/sluice-net/sluice/afxdp/hidden"
	"github.com/sluice-net/sluice/broker/proto"
)

// aCard is a device with ntuple filters, as mlx5's.
func aCard() *fakenic.NIC {
	return fakenic.New("eth0", fakenic.Model{Rings: 8, Rules: 64, Table: 64, Key: 40, Contexts: 4})
}

// hides makes a broker that hides queues of a card.
func hides(t *testing.T, count int, nic *fakenic.NIC) *fakeHost {
	return newFakeHost(t, 8, func(c *Config) {
		c.Hide, c.Keep = count, -1
		c.backend.(*fakeKernel).nic = nic
	})
}

// steered tells how many rules lead to the listener's port.
func steered(nic *fakenic.NIC, l key) (n int) {
	for _, r := range nic.State().Rules {
		if r.Fits(ethtool.IP(false, false).To(l.ip).ToPort(l.port)) {
			n++
		}
	}
	return n
}

func TestHiddenQueuesAreWhatProgramsGet(t *testing.T) {
	nic := aCard()
	before := nic.State()
	h := hides(t, 2, nic)
	require.Equal(t, before, nic.State(), "a device that nobody uses is left alone")
	l := kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	g := e.listen(l)
	require.Equal(t, map[proto.QueueRef]bool{{Ifindex: 7, Queue: 6}: true, {Ifindex: 7, Queue: 7}: true}, e.vis)
	require.Zero(t, steered(nic, portOf(l)), "nobody takes packets yet")
	e.ready(g)
	require.Equal(t, 1, steered(nic, portOf(l)))
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 && p.listeners[entry{0, portOf(l)}] }), "XDP still checks what arrives")

	e.c.Close()
	until(t, "the card is as it was", func() bool {
		s := nic.State()
		return len(s.Rules) == 0 && len(s.Contexts) == 1 && s.Contexts[0][7] == 7
	})
	require.Equal(t, before, nic.State())
}

func TestHiddenQueuesAreDivided(t *testing.T) {
	nic := aCard()
	h := hides(t, 2, nic)
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	b.ready(b.listen(l))
	require.Len(t, a.yield().Queues, 1)
	b.gets(1)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 }))
	require.Equal(t, 1, steered(nic, portOf(l)))
}

// A rule of an administrator's is not crossed: the listener stays with the kernel, and whoever listens elsewhere does not care.
func TestARuleOfSomeoneElsesStays(t *testing.T) {
	nic := aCard()
	l, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	theirs := ethtool.Rule{Match: ethtool.IP(false, false).ToPort(portOf(l).port), Queue: 1, Location: 3}
	_, err := ethtool.NIC{Name: "eth0", Call: nic}.Insert(theirs)
	require.NoError(t, err)
	h := hides(t, 1, nic)
	e := h.engine()
	e.ready(e.listen(l))
	e.ready(e.listen(other))
	require.Equal(t, 1, steered(nic, portOf(other)))
	require.Equal(t, 1, steered(nic, portOf(l)))
	require.Equal(t, theirs, nic.State().Rules[3])
}

func TestDevicesWithoutFiltersAreSteeredByXDP(t *testing.T) {
	h := hides(t, 2, fakenic.New("eth0", fakenic.Model{Rings: 8}))
	e := h.engine()
	g := e.listen(kernelListener(t, "127.0.0.1:0"))
	require.Len(t, g.VIs, 8)
}

// The next broker goes on with what the one before it took, and sweeps the rules nobody came back for.
func TestHiddenQueuesAreResumed(t *testing.T) {
	nic := aCard()
	before := nic.State()
	path := filepath.Join(t.TempDir(), "hidden", "1-7.json")
	k := newFakeKernel(8)
	k.nic = nic
	id := hidden.Identity{Boot: "b", NetNS: 1, Ifindex: 7}
	first, err := k.Hide(0, "eth0", 2, id, path)
	require.NoError(t, err)
	for _, port := range []uint16{80, 81} {
		for _, s := range (key{port: port}).specs() {
			_, err := first.Steer(s, nil)
			require.NoError(t, err)
		}
	}
	during := nic.State()
	require.Len(t, during.Rules, 4)

	second, err := k.Hide(0, "eth0", 2, id, path)
	require.NoError(t, err)
	require.Equal(t, first.Queues(), second.Queues())
	for _, s := range (key{port: 80}).specs() {
		_, err := second.Steer(s, nil)
		require.NoError(t, err)
	}
	require.Equal(t, during, nic.State(), "a rule that is there is not made again")
	require.NoError(t, second.Sweep())
	require.Len(t, nic.State().Rules, 2)
	require.NoError(t, second.Release())
	require.Equal(t, before, nic.State())

	third, err := k.Hide(0, "eth0", 2, id, path)
	require.NoError(t, err)
	require.NoError(t, ethtool.NIC{Name: "eth0", Call: nic}.SetTable(0, nil))
	fourth, err := k.Hide(0, "eth0", 2, id, path)
	require.NoError(t, err, "a journal that does not fit is undone, and the queues taken anew")
	require.Equal(t, third.Queues(), fourth.Queues())
	require.NoError(t, fourth.Release())
	require.Equal(t, before, nic.State())
}

func TestRepairOfNothing(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "b.sock")
	done, err := Repair(socket)
	require.NoError(t, err)
	require.Empty(t, done)
	dir := journals(socket)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	gone := filepath.Join(dir, "1-2.json")
	require.NoError(t, os.WriteFile(gone, []byte(`{"version":1,"boot":"another"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1-3.json"), []byte("{"), 0o600))
	done, err = Repair(socket)
	require.ErrorContains(t, err, "1-3.json")
	require.Equal(t, []string{gone}, done, "the machine has restarted: there is nothing to put back")
	require.NoFileExists(t, gone)
}

func TestRepairBesideARunningBroker(t *testing.T) {
	h := newFakeHost(t, 1, nil)
	_, err := Repair(h.b.cfg.Socket)
	require.ErrorContains(t, err, "a broker is running")
}

package sim

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/fault"
	"github.com/sluice-net/sluice/efvi/loop"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
)

// TestOverLoopAndFault joins two stacks by efvi's own decorators instead of this package's wire: what a test of the
// real devices' interface would do, without a device.
func TestOverLoopAndFault(t *testing.T) {
	overLoop(t, "192.0.2.1", "192.0.2.2", func(vi efvi.VI, mem efvi.Memory, c fault.Config) efvi.VI {
		c.Corrupt = 0.02
		return fault.New(vi, mem, c)
	})
}

// overLoop carries bytes both ways; dress puts more upon the two devices.
func overLoop(t *testing.T, first, other string, dress func(efvi.VI, efvi.Memory, fault.Config) efvi.VI) (stacks [2]*ustack.Stack) {
	w := &world{t: t, now: second, rng: newRand(21)}
	addrs := [2]netip.Addr{netip.MustParseAddr(first), netip.MustParseAddr(other)}
	mem := [2]efvi.Memory{{Bytes: make([]byte, 1024*efvi.FrameSize)}, {Bytes: make([]byte, 1024*efvi.FrameSize)}}
	x, y := loop.New(mem[0], mem[1], loop.Config{Info: efvi.Info{Ifindex: 1, MTU: 1500, MAC: [6]byte{2}}})
	for i, vi := range []efvi.VI{x, y} {
		h := &host{w: w, addr: addrs[i], nic: &nic{info: vi.Info()}}
		h.pool = pbuf.New(mem[i].Bytes, efvi.FrameSize)
		h.routes = &routes{h: h, gen: 1, mtu: 1500}
		h.Stack = ustack.New(ustack.Config{Pool: h.pool, Rand: w.rng.Uint64, Routes: h.routes, Sink: h})
		h.AddVI(dress(vi, mem[i], fault.Config{Seed: uint64(i), Drop: 0.02, Dup: 0.02, Reorder: 0.02,
			Delay: ms, Jitter: ms / 2, Hold: 2 * ms, Clock: func() int64 { return w.now }}))
		w.host[i], stacks[i] = h, h.Stack
	}
	w.host[0].peer, w.host[1].peer = w.host[1], w.host[0]
	tick := func() {
		w.now += ms / 4
		for _, s := range stacks {
			s.Poll(w.now, 256)
		}
		w.runApps()
	}
	l, err := stacks[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 8)
	require.NoError(t, err)
	a := w.connect(40000)
	for limit := w.now + 60*second; l.Listener().Waiting() == 0; tick() {
		require.Less(t, w.now, limit, "never connected")
	}
	b, err := l.Accept(w.now)
	require.NoError(t, err)
	there, back := w.send(a, b, 300_000), w.send(b, a, 300_000)
	for limit := w.now + 300*second; !there.over() || !back.over(); tick() {
		require.Less(t, w.now, limit, "%d and %d bytes arrived", there.got, back.got)
	}
	require.NoError(t, there.err)
	require.NoError(t, back.err)
	return stacks
}

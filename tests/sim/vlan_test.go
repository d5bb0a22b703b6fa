package sim

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// TestVLAN: two hosts on a tagged link, over IPv4 and IPv6, with losses: every frame carries the tag, in front of a packet
// that is as long as without one.
func TestVLAN(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		l := Link{Delay: ms, Loss: 0.02}
		w := newWorld(t, config{seed: 11, link: [2]Link{l, l}, v6: v6, vlan: [2]uint16{100, 100}})
		frames, longest := 0, 0
		for _, h := range w.host {
			h.nic.tap = func(_ int64, frame []byte) {
				require.EqualValues(t, wire.TypeVLAN, wire.Ethernet(frame).Type())
				require.EqualValues(t, 100, binary.BigEndian.Uint16(frame[14:]))
				require.Equal(t, map[bool]uint16{false: wire.TypeIPv4, true: wire.TypeIPv6}[v6], binary.BigEndian.Uint16(frame[16:]))
				frames, longest = frames+1, max(longest, len(frame))
			}
		}
		a, b := w.pair()
		s := w.send(a, b, 300_000)
		w.until(60*second, "all arrives", s.over)
		require.NoError(t, s.err)
		require.Greater(t, frames, 200)
		require.Equal(t, wire.EthernetLen+wire.TagLen+1500, longest)
	}
}

// TestVLANsAreApart: what is tagged for another VLAN, or not at all, is not heard.
func TestVLANsAreApart(t *testing.T) {
	for _, vlan := range [][2]uint16{{100, 200}, {100, 0}, {0, 100}} {
		w := newWorld(t, config{seed: 12, vlan: vlan})
		c := w.connect(40000)
		w.until(300*second, "nobody answers", func() bool { return c.State() == tcp.Closed })
		require.ErrorIs(t, c.TakeError(), tcp.ErrTimeout)
		require.Positive(t, w.host[1].Counters().Eth.OtherVLAN)
	}
}

// trunk makes host 1 one that reaches its peer by a VLAN device on top of its nic.
func (w *world) trunk(vlan uint16) {
	w.host[1].routes.vlan = vlan
	w.host[1].routes.gen++
}

// TestVLANOfTheRoute: where the link has no tag of its own the route's tells which frames are a connection's, with checksums and packets in
// several frames left to the device, too; without the route there is no connection, and none with somebody of another VLAN or of none.
func TestVLANOfTheRoute(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, bursts := range []bool{false, true} {
			l := Link{Delay: ms, Loss: 0.02}
			w := newWorld(t, config{seed: 13, link: [2]Link{l, l}, v6: v6, vlan: [2]uint16{100, 0}, bursts: bursts})
			w.trunk(100)
			w.host[1].nic.tap = func(_ int64, frame []byte) {
				require.EqualValues(t, wire.TypeVLAN, wire.Ethernet(frame).Type())
				require.EqualValues(t, 100, binary.BigEndian.Uint16(frame[14:]))
			}
			a, b := w.pair()
			for _, s := range []*stream{w.send(a, b, 300_000), w.send(b, a, 300_000)} {
				w.until(60*second, "all arrives", s.over)
				require.NoError(t, s.err)
			}
			require.Zero(t, w.host[1].Counters().Eth.OtherVLAN)
		}
	}
	for _, vlan := range [][2]uint16{{100, 200}, {100, 0}, {0, 100}} {
		w := newWorld(t, config{seed: 14, vlan: [2]uint16{vlan[0], 0}})
		w.trunk(vlan[1])
		_, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 128)
		require.NoError(t, err)
		c := w.connect(40000)
		w.until(300*second, "nobody answers", func() bool { return c.State() == tcp.Closed })
		require.ErrorIs(t, c.TakeError(), tcp.ErrTimeout)
		require.Positive(t, w.host[1].Counters().Eth.OtherVLAN)
	}
}

// TestVLANOfTheRouteChanges: what comes by the VLAN that was is no longer heard, not even a reset, and what comes by the new one is.
func TestVLANOfTheRouteChanges(t *testing.T) {
	w := newWorld(t, config{seed: 15, vlan: [2]uint16{100, 0}})
	w.trunk(100)
	a, b := w.pair()
	w.trunk(200)
	s := w.send(a, b, 300_000)
	w.until(10*second, "dropped", func() bool { return w.host[1].Counters().Eth.OtherVLAN >= 3 })
	require.False(t, s.over())
	a.Abort(w.now)
	w.until(10*second, "dropped", func() bool { return w.host[1].Counters().Eth.OtherVLAN >= 4 })
	require.Equal(t, tcp.Established, b.State())
}

package nic

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const frames = 64

// open opens a node's device for the test.
func open(t *testing.T, n *testbed.Node, f efvi.FilterSpec) (*PD, *Port) {
	t.Helper()
	pd, err := NewPD("sluice-test", 4*frames)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pd.Close()) })
	var p *Port
	require.NoError(t, n.Do(func() (err error) {
		p, err = pd.Open(n.Device, f, frames)
		return err
	}))
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return pd, p
}

// packets that differ from the one that is chosen in one thing each; the last in none.
func packets(bed *testbed.Bed, src, dst netip.AddrPort, proto byte) (out []bedtest.Packet) {
	p := bedtest.Packet{DstMAC: bed.Server.MAC, SrcMAC: bed.Client.MAC, Src: src, Dst: dst, Proto: proto, Payload: udp(dst.Port())}
	add := func(change func(*bedtest.Packet)) {
		q := p
		change(&q)
		out = append(out, q)
	}
	add(func(q *bedtest.Packet) { q.Payload = udp(dst.Port() + 1) })
	add(func(q *bedtest.Packet) { q.Dst = netip.AddrPortFrom(dst.Addr().Next(), dst.Port()) })
	add(func(q *bedtest.Packet) { q.Proto = 132 })
	add(func(q *bedtest.Packet) { q.Payload = udp(dst.Port())[:3] })
	add(func(q *bedtest.Packet) { q.Tags = []uint16{7} })
	if dst.Addr().Is4() {
		add(func(q *bedtest.Packet) { q.Frag = 0x2000 })
		add(func(q *bedtest.Packet) { q.Frag = 1 })
		add(func(q *bedtest.Packet) { q.Options = []byte{1, 1, 1, 0} })
	}
	add(func(*bedtest.Packet) {})
	return out
}

// udp is a header with a port, and some payload.
func udp(port uint16) []byte {
	return []byte{0, 7, byte(port >> 8), byte(port), 0, 12, 0, 0, 'f', 'l', 'o', 'w'}
}

// Of everything that comes, the filter's packets are ours and no other.
func TestFilterChoosesItsPacketsAndNoOther(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	const port = 0x8123 // a negative number where somebody forgot that it is none
	for _, c := range []struct {
		name     string
		src, dst netip.Addr
	}{{"IPv4", bed.Client.IPv4, bed.Server.IPv4}, {"IPv6", bed.Client.IPv6, bed.Server.IPv6}} {
		t.Run(c.name, func(t *testing.T) {
			dst := netip.AddrPortFrom(c.dst, port)
			_, p := open(t, bed.Server, efvi.IPLocal(efvi.UDP, dst))
			pd, sender := open(t, bed.Client, efvi.EthType(0x88b5))
			first, err := pd.Alloc(16)
			require.NoError(t, err)
			all := packets(bed, netip.AddrPortFrom(c.src, 7), dst, 17)
			for i, q := range all {
				n := copy(pd.Memory.Frame(first+uint32(i)), q.Bytes())
				require.True(t, sender.VIs[0].Send(first+uint32(i), 0, uint32(n)))
				require.NoError(t, sender.VIs[0].Flush())
			}
			var got int
			bedtest.Until(t, "the chosen packet", func() bool {
				var ev [2 * frames]efvi.Event
				got += p.VIs[0].Poll(ev[:])
				return got > 0
			})
			var ev [frames]efvi.Event
			require.Equal(t, 1, got+p.VIs[0].Poll(ev[:]), "veth keeps the order: the chosen one is the last")
		})
	}
}

// A queue belongs to one program at a time, and comes back when it ends.
func TestDeviceIsGivenBack(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	for range 3 {
		pd, err := NewPD("sluice-test", 2*frames)
		require.NoError(t, err)
		var p *Port
		require.NoError(t, bed.Server.Do(func() (err error) {
			if p, err = pd.Open(bed.Server.Device, efvi.All(), frames); err != nil {
				return err
			}
			_, second := pd.Open(bed.Server.Device, efvi.All(), frames)
			require.Error(t, second)
			return nil
		}))
		require.Len(t, p.VIs, 2)
		_, err = pd.Alloc(1)
		require.Error(t, err, "all frames are posted")
		require.NoError(t, p.Close())
		require.NoError(t, pd.Close())
	}
	_, err := (&PD{}).Open("no-such-device", efvi.All(), 1)
	require.Error(t, err)
}

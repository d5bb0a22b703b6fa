package engine

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
)

// TestUnusedPortsAreGivenBack: as somebody wants to bind. Not those of connections, nor of such as wait (TIME-WAIT), which the kernel would not give either.
func TestUnusedPortsAreGivenBack(t *testing.T) {
	r := newPairRig(t)
	client, h := r.connect(4000) // to our port 80, which we close first
	r.e.SLClose(h)
	r.turn()
	client.Close(nanotime())
	r.turn()
	require.True(t, r.e.inTimeWait()[netip.AddrPortFrom(ourAddr, 80)])

	r.e.plane.random = func() uint64 { return 0 }
	p := &pool{local: ourAddr}
	r.e.ports.pools = map[netip.Addr]*pool{ourAddr: p}
	lease := func(number uint16) *block {
		b := &block{pool: p, keeper: -1, ports: []port{{number: number}}}
		b.ports[0].block = b
		p.push(&b.ports[0])
		p.leased++
		r.e.ports.blocks = append(r.e.ports.blocks, b)
		return b
	}
	one, other := lease(20000), lease(20001)
	busy, waits := lease(20002), lease(80)
	f, err := r.e.lease(1, ourAddr, netip.AddrPortFrom(theirAddr, 80))
	require.NoError(t, err)
	for f.port.block != busy { // one is taken at random
		r.e.unused(1, f.port)
		f, err = r.e.lease(1, ourAddr, netip.AddrPortFrom(theirAddr, 80))
		require.NoError(t, err)
	}
	all := &proto.Packet{}
	r.e.shed(1, other, func(q *port) bool { return q.number == 1 })
	require.Equal(t, []*block{one, other, busy, waits}, r.e.ports.blocks)
	require.NoError(t, r.e.unlease(1, all))
	require.Equal(t, []*block{busy, waits}, r.e.ports.blocks)
	require.Equal(t, 2, p.leased)
	require.Equal(t, 1, p.free)
	require.EqualValues(t, 80, p.first.number)
	require.Equal(t, p.first, p.last)
	require.NoError(t, r.e.unlease(1+holdPorts, all))
	require.Equal(t, []*block{busy}, r.e.ports.blocks)
}

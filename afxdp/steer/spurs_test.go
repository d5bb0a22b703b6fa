package steer_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// An entry's spurs get its packets whatever queue they come by, each connection by one spur, ICMP errors about it by the same; where a spur is
// missing the kernel gets them.
func TestVerdictOfSpurs(t *testing.T) {
	r := newRig(t)
	p := r.port.Program
	way := steer.Way{First: steer.FirstSpur + 5, Spurs: 2}
	on := steer.Link{Way: way}
	require.NoError(t, p.SetListener(on, r.bed.Server.IPv4, freePort, 0))
	r.want("no_queue", 0, r.packet(false, 1, freePort).Bytes(), "no spur yet")
	require.NoError(t, p.SetSpur(way.First, r.bed.Server.FD(), r.bed.Server.Ifindex, r.port.VIs[0].FD()))

	run, err := p.Runner(r.bed.Server.FD())
	require.NoError(t, err)
	defer run.Close()
	verdict := func(queue int, b []byte) uint32 {
		v, err := run.Run(queue, b)
		require.NoError(t, err)
		return v
	}
	there := 0
	for from := range uint16(1024) {
		q := r.packet(false, 20000+from, freePort)
		first := verdict(0, q.Bytes())
		require.Equal(t, first, verdict(1, q.Bytes()), "queue 1 has no socket, and needs none")
		require.Equal(t, first, verdict(0, r.icmp(false, 3, q, 28).Bytes()), "an error about it")
		q.Flags = bedtest.ACK
		require.Equal(t, first, verdict(1, q.Bytes()))
		if first == steer.Redirect {
			there++
		}
	}
	require.InDelta(t, 512, there, 100, "half of the connections are the spur's that is there")

	require.NoError(t, p.SetSpur(way.First+1, r.bed.Server.FD(), r.bed.Server.Ifindex, r.port.VIs[0].FD()))
	r.want("redirected", 1, r.packet(false, 1, freePort).Bytes(), "both are there")
	for spur := range 2 {
		require.NoError(t, p.SetQuiet(way.First+spur, true))
	}
	r.want("quiet_syn", 0, r.packet(false, 9, freePort).Bytes(), "spurs between two owners")
	require.NoError(t, p.DelQueue(way.First))
	require.NoError(t, p.DelQueue(way.First), "it is no error if there is none")
	require.False(t, p.HasSpur(way.First))

	// Connections made by a program, and those taken from the kernel, have a way, too; and it is found again.
	k := r.packet(false, 77, 78)
	tuple := steer.Tuple{Local: k.Dst, Remote: k.Src}
	one := steer.Link{Way: steer.Way{First: steer.FirstSpur + steer.MaxSpurs - 1, Spurs: 1}}
	for _, set := range []func(steer.Link, steer.Tuple) error{p.SetConnect, p.SetTaken} {
		require.NoError(t, set(one, tuple))
		r.want("no_queue", 0, k.Bytes(), "no such spur")
		all, err := p.Connects()
		require.NoError(t, err)
		require.Contains(t, all, steer.ConnectEntry{On: one, Tuple: tuple})
	}
	listeners, err := p.Listeners()
	require.NoError(t, err)
	require.Contains(t, listeners, steer.ListenerEntry{On: on, AddrPort: netip.AddrPortFrom(r.bed.Server.IPv4, freePort)})
}

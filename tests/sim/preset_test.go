package sim

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// TestOptionsBeforeConnect: what a program set on a socket before connect(2) is in its SYN already.
func TestOptionsBeforeConnect(t *testing.T) {
	w := newWorld(t, config{seed: 1})
	a, b := w.host[0], w.host[1]
	var syn []byte
	a.nic.tap = func(_ int64, frame []byte) { syn = append([]byte(nil), frame...) }
	o := usock.NewPreset()
	prm := a.Host().Params
	const solIP, ipTOS, solTCP, tcpMaxSeg, tcpWindowClamp = 0, 1, 6, 2, 10
	word := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	require.NoError(t, o.SetOption(prm, solTCP, tcpMaxSeg, word(600)))
	require.NoError(t, o.SetOption(prm, solTCP, tcpWindowClamp, word(5000)))
	require.NoError(t, o.SetOption(prm, solIP, ipTOS, word(0x20)))
	_, err := a.ConnectWith(w.now, netip.AddrPortFrom(a.addr, 4000), netip.AddrPortFrom(b.addr, 80), o)
	require.NoError(t, err)
	require.NotNil(t, syn)
	require.EqualValues(t, 0x20, syn[wire.EthernetLen+1], "TOS")
	seg, err := wire.ParseTCP(syn[wire.EthernetLen+wire.IPv4Len:])
	require.NoError(t, err)
	var opts wire.TCPOptions
	opts.Parse(seg.Options())
	require.EqualValues(t, 600, opts.MSS)
	require.LessOrEqual(t, int(seg.Window()), 5000)
}

package engine

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// TestCrowdGetsHugePages: the 4,096th connection asks for huge pages below all.
func TestCrowdGetsHugePages(t *testing.T) {
	r := newPairRig(t)
	for i := range crowd {
		require.True(t, r.e.huge.Empty(), "%d connections", i)
		f := tcp.Flow{Local: netip.AddrPortFrom(ourAddr, 80), Remote: netip.AddrPortFrom(theirAddr, uint16(1024+i))}
		_, err := r.e.plane.stack.Adopt(nanotime(), &tcp.Snapshot{Flow: f, State: tcp.Established, MSS: 1460, SndWnd: 1 << 16, RcvWnd: 1 << 16, Options: tcp.DefaultOptions()}, false)
		require.NoError(t, err)
	}
	require.False(t, r.e.huge.Empty())
}

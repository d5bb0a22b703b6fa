package engine

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// Between two brokers nobody knows whose a flow is: `make crash SEED=507` had five clients reset whose handshakes another worker had begun on a
// queue that changed hands when the broker was killed.
func TestNoResetForStraysBetweenTwoBrokers(t *testing.T) {
	e := &Engine{}
	f := tcp.Flow{Local: netip.AddrPortFrom(ourAddr, 80), Remote: netip.AddrPortFrom(theirAddr, 40000)}
	require.False(t, registry{e}.Stray(&f), "without a broker there is no other process")
	e.link.lostAt = nanotime()
	require.True(t, registry{e}.Stray(&f))
	e.strays.seen[0].first -= strayPatience
	require.False(t, registry{e}.Stray(&f), "not for ever")
}

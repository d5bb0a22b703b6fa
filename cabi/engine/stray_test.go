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

// What the broker is told when it asks whose a flow is: ours from the SYN on, until TIME-WAIT is over.
func TestAFlowIsOursFromItsSYNOn(t *testing.T) {
	r := newPairRig(t)
	st := r.e.plane.stack
	f := tcp.Flow{Local: netip.AddrPortFrom(ourAddr, 80), Remote: netip.AddrPortFrom(theirAddr, 40000)}
	require.False(t, st.Has(f))
	c, err := r.peer.Connect(nanotime(), f.Remote, f.Local)
	require.NoError(t, err)
	r.e.SLPoll(false)
	require.Equal(t, 1, r.l.sock.Listener().HalfOpens())
	require.True(t, st.Has(f), "half open")
	r.turn()
	require.True(t, st.Has(f), "not accepted yet")
	var sa Sockaddr
	n := 0
	h := r.e.SLAccept(r.l.h, &sa, &n)
	require.GreaterOrEqual(t, h, 0)
	require.True(t, st.Has(f))
	r.e.SLClose(int32(h))
	r.turn()
	c.Close(nanotime())
	r.turn()
	require.Equal(t, tcp.TimeWait, st.Host().Waits.State(f))
	require.True(t, st.Has(f), "TIME-WAIT")
	f.Remote = netip.AddrPortFrom(theirAddr, 40001)
	require.False(t, st.Has(f))
}

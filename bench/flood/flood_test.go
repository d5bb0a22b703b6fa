package flood

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/nic"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// What is sent arrives as datagrams to the address and port, but for what finds the ring full.
func TestFloodArrives(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	to := netip.AddrPortFrom(bed.Server.IPv4, 9)
	var d *nic.Discard
	require.NoError(t, bed.Server.Do(func() (err error) {
		d, err = nic.NewDiscard(bed.Server.Device, efvi.IPLocal(efvi.UDP, to))
		return err
	}))
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	var sent uint64
	require.NoError(t, bed.Client.Do(func() (err error) {
		sent, err = Send(netip.AddrPortFrom(bed.Client.IPv4, 7), to, bed.Server.MAC, time.Millisecond)
		return err
	}))
	require.EqualValues(t, perRun, sent)
	packets, bytes, err := d.Count()
	require.NoError(t, err)
	require.NotZero(t, packets)
	require.LessOrEqual(t, packets, sent)
	require.Equal(t, 60*packets, bytes)
}

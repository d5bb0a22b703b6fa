package ethtool_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

func TestVethAnswers(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 3})
	require.NoError(t, bed.Server.Do(func() error {
		driver, err := ethtool.Driver("veth0")
		require.NoError(t, err)
		require.Equal(t, "veth", driver)
		n, err := ethtool.ReceiveQueues("veth0")
		require.NoError(t, err)
		require.Equal(t, 3, n)
		for _, on := range []bool{true, false} {
			require.NoError(t, ethtool.SetGRO("veth0", on))
			is, err := ethtool.GRO("veth0")
			require.NoError(t, err)
			require.Equal(t, on, is)
		}
		_, err = ethtool.Driver("nothing0")
		require.ErrorContains(t, err, "ethtool driver of nothing0")
		return nil
	}))
}

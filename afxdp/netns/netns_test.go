package netns_test

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

func TestDoGoesThereAndBack(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	home, err := netns.Inode(netns.Current)
	require.NoError(t, err)
	there, err := netns.Inode(bed.Server.FD())
	require.NoError(t, err)
	require.NotEqual(t, home, there)
	require.Equal(t, bed.Server.Inode(), there)

	oops := errors.New("oops")
	err = netns.Do(bed.Server.FD(), func() error {
		in, err := netns.Inode(netns.Current)
		require.NoError(t, err)
		require.Equal(t, there, in)
		ifs, err := net.Interfaces()
		require.NoError(t, err)
		require.Len(t, ifs, 2)
		return oops
	})
	require.ErrorIs(t, err, oops)
	for range 20 {
		in, err := netns.Inode(netns.Current)
		require.NoError(t, err)
		require.Equal(t, home, in)
	}
	require.ErrorContains(t, netns.Do(-7, func() error { return nil }), "enter network namespace")

	f, err := netns.Find(there)
	require.NoError(t, err)
	got, err := netns.Inode(int(f.Fd()))
	require.NoError(t, err)
	require.Equal(t, there, got)
	require.NoError(t, f.Close())
	_, err = netns.Find(1)
	require.ErrorIs(t, err, os.ErrNotExist)
}

package testbed_test

import (
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

func TestBedCarriesTraffic(t *testing.T) {
	b := bedtest.New(t, testbed.Config{})
	for _, ip := range []string{b.Server.IPv4.String(), b.Server.IPv6.String()} {
		var l net.Listener
		require.NoError(t, b.Server.Do(func() (err error) {
			l, err = net.Listen("tcp", net.JoinHostPort(ip, "0"))
			return err
		}))
		require.NoError(t, b.Client.Do(func() error {
			c, err := net.Dial("tcp", l.Addr().String())
			if err == nil {
				err = c.Close()
			}
			return err
		}))
		require.NoError(t, l.Close())
	}
	out, err := b.Client.Run("ip", "-o", "link", "show", b.Client.Device)
	require.NoError(t, err)
	require.Contains(t, out, "state UP")
}

func TestCloseEndsWhatRuns(t *testing.T) {
	b := bedtest.New(t, testbed.Config{Queues: 1})
	cmd := exec.Command("sleep", "600")
	require.NoError(t, b.Server.Start(cmd))
	left, err := testbed.Leftovers(b.Server.Name)
	require.NoError(t, err)
	require.Len(t, left, 3, "the namespace, its mount and the process: %q", left)
	require.NoError(t, b.Close())
	require.Error(t, cmd.Wait(), "was killed")
	require.NoError(t, testbed.WaitClean(bedtest.CleanLimit, b.Server.Name, b.Client.Name))
}

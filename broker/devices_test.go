package broker

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// A list during which addresses change is not complete, and says so: a device that seems to have no address gets no listener.
func TestDevicesWhileAddressesChange(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	many, stop, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- bed.Server.Do(func() error {
			lo, err := netlink.LinkByName("lo")
			for i := 0; i < 1000 && err == nil; i++ { // more than one message holds
				err = netlink.AddrAdd(lo, loopback(i))
			}
			close(many)
			for other := loopback(1000); err == nil; {
				select {
				case <-stop:
					return nil
				default:
				}
				if err = netlink.AddrAdd(lo, other); err == nil {
					err = netlink.AddrDel(lo, other)
				}
			}
			return err
		})
	}()
	<-many
	for range 100 {
		all, err := kernel{}.Devices(bed.Server.FD())
		require.NoError(t, err)
		i := slices.IndexFunc(all, func(n netDevice) bool { return n.Name == bed.Server.Device })
		require.GreaterOrEqual(t, i, 0, "the device is missing")
		require.Contains(t, all[i].Addrs, bed.Server.IPv4)
	}
	close(stop)
	require.NoError(t, <-ended)
}

func loopback(i int) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: net.IP{127, 1, byte(i >> 8), byte(i)}, Mask: net.CIDRMask(32, 32)}}
}

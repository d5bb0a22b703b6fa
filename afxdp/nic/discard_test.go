package nic

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// The filter's packets are counted and come to nobody; the others come to the kernel, and all do when it is over.
func TestDiscardDropsAndCounts(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	listen := func(port uint16) (c net.PacketConn) {
		require.NoError(t, bed.Server.Do(func() (err error) {
			c, err = net.ListenPacket("udp4", net.JoinHostPort(bed.Server.IPv4.String(), strconv.Itoa(int(port))))
			return err
		}))
		t.Cleanup(func() { c.Close() })
		return c
	}
	dropped, passed := listen(9999), listen(9998)
	send := func(to net.PacketConn, n int) {
		require.NoError(t, bed.Client.Do(func() error {
			c, err := net.Dial("udp4", to.LocalAddr().String())
			if err != nil {
				return err
			}
			defer c.Close()
			for range n {
				if _, err := c.Write([]byte("flood")); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	take := func(from net.PacketConn) {
		_, _, err := from.ReadFrom(make([]byte, 16))
		require.NoError(t, err)
	}
	var d *Discard
	require.NoError(t, bed.Server.Do(func() (err error) {
		d, err = NewDiscard(bed.Server.Device, efvi.IPLocal(efvi.UDP, netip.AddrPortFrom(bed.Server.IPv4, 9999)))
		return err
	}))
	require.True(t, d.Native)
	send(dropped, 1000)
	send(passed, 1)
	take(passed)
	bedtest.Until(t, "the last of them", func() bool {
		packets, _, err := d.Count()
		return err == nil && packets == 1000
	})
	_, bytes, err := d.Count()
	require.NoError(t, err)
	require.EqualValues(t, 1000*(14+20+8+5), bytes)
	require.NoError(t, d.Close())
	send(dropped, 1)
	take(dropped)
}

func TestDiscardRefusesWhatIsNoFilter(t *testing.T) {
	_, err := NewDiscard("lo", efvi.FilterSpec{Kind: 99})
	require.Error(t, err)
	_, err = NewDiscard("no-such-device", efvi.All())
	require.Error(t, err)
}

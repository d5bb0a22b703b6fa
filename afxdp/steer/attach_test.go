package steer_test

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// What one process pinned, the next takes over: entries, sockets and counters.
func TestAdoptAfterTheOwnerIsGone(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	dir := bedtest.PinDir(t)
	r := &rig{TB: t, bed: bed, port: bedtest.OpenPort(t, bed.Server, 1, dir)}
	first := r.port.Program
	require.NoError(t, first.SetListener(steer.Untagged, netip.Addr{}, anyPort, 0))
	require.NoError(t, first.SetConnect(steer.Untagged, steer.Tuple{
		Local: netip.AddrPortFrom(bed.Server.IPv4, dialedPort), Remote: netip.AddrPortFrom(bed.Client.IPv4, dialPort),
	}))
	_, err := steer.Attach(bed.Server.FD(), bed.Server.Ifindex, dir)
	require.ErrorIs(t, err, steer.ErrAttached)
	require.NoError(t, first.Release()) // as when the process ends

	second, err := steer.Adopt(bed.Server.FD(), bed.Server.Ifindex, dir)
	require.NoError(t, err)
	r.port.Program = second
	require.Equal(t, first.Mode(), second.Mode())
	pins, err := steer.Pins(dir)
	require.NoError(t, err)
	require.Equal(t, []steer.Pin{second.Pin()}, pins)
	listeners, err := second.Listeners()
	require.NoError(t, err)
	require.ElementsMatch(t, []steer.ListenerEntry{
		{AddrPort: netip.AddrPortFrom(netip.IPv4Unspecified(), anyPort)}, {AddrPort: netip.AddrPortFrom(netip.IPv6Unspecified(), anyPort)},
	}, listeners)
	connects, err := second.Connects()
	require.NoError(t, err)
	require.Len(t, connects, 1)
	require.EqualValues(t, dialPort, connects[0].Remote.Port())
	r.want("redirected", 0, r.packet(false, 1, anyPort).Bytes(), "goes on as before")
	leads := func(want bool, why string) {
		t.Helper()
		got, err := second.Leads([]int{0, 1, steer.FirstSpur})
		require.NoError(t, err)
		require.Equal(t, []bool{want, false, false}, got, why)
	}
	leads(true, "its socket lives")
	for _, vi := range r.port.VIs {
		require.NoError(t, vi.Close())
	}
	bedtest.Until(t, "the kernel to close it", func() bool {
		got, err := second.Leads([]int{0})
		return err == nil && !got[0]
	})
	leads(false, "and does no more")

	require.NoError(t, second.Close())
	require.Empty(t, pinsIn(t, dir))
	require.NoDirExists(t, filepath.Join(dir, second.Pin().String()))
}

func pinsIn(t *testing.T, dir string) []steer.Pin {
	pins, err := steer.Pins(dir)
	require.NoError(t, err)
	return pins
}

// The device may go first: then the pins are stale, and an Attach for a new device clears them.
func TestPinsOfAVanishedDevice(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	dir := bedtest.PinDir(t)
	p, err := steer.Attach(bed.Server.FD(), bed.Server.Ifindex, dir)
	require.NoError(t, err)
	pin := p.Pin()
	require.NoError(t, p.Release())
	loaded, err := steer.Loaded()
	require.NoError(t, err)
	require.Contains(t, slices.Collect(maps.Values(loaded)), pin)

	_, err = bed.Server.Run("ip", "link", "del", bed.Server.Device)
	require.NoError(t, err)
	_, err = steer.AdoptPin(dir, pin)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, []steer.Pin{pin}, pinsIn(t, dir))
	require.NoError(t, steer.RemovePin(dir, pin))
	require.Empty(t, pinsIn(t, dir))
	bedtest.Until(t, "the program to be unloaded", func() bool {
		loaded, err := steer.Loaded()
		for _, l := range loaded {
			if l == pin {
				return false
			}
		}
		return err == nil
	})
}

// A device that goes while the program is in use makes no trouble at Close.
func TestCloseAfterTheDeviceIsGone(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	dir := bedtest.PinDir(t)
	p, err := steer.Attach(bed.Server.FD(), bed.Server.Ifindex, dir)
	require.NoError(t, err)
	_, err = bed.Server.Run("ip", "link", "del", bed.Server.Device)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.Empty(t, pinsIn(t, dir))
}

// A driver without XDP gets the program on the generic path.
func TestGenericWhereTheDriverHasNoXDP(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	const loopback = 1
	p, err := steer.Attach(bed.Server.FD(), loopback, bedtest.PinDir(t))
	require.NoError(t, err)
	require.Equal(t, steer.Generic, p.Mode())
	require.NoError(t, p.Close())
}

// veth makes an skb of everything anyhow; its own XDP copies that, and forbids the peer to send packets that are not cut.
func TestVethTakesTheGenericPath(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	attached := func() (steer.Mode, bool) {
		p, err := steer.Attach(bed.Server.FD(), bed.Server.Ifindex, bedtest.PinDir(t))
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Close()) }()
		return p.Mode(), p.Joined()
	}
	mode, joined := attached()
	require.Equal(t, afxdp.KernelAtLeast(6, 9), mode == steer.Generic)
	require.Equal(t, mode == steer.Generic, joined)
	defer steer.OlderKernel()()
	mode, joined = attached()
	require.Equal(t, steer.Native, mode)
	require.False(t, joined)
}

// The generic path of older kernels wants packets as they came from the wire; at the end the device is as before,
// though another process ends it. Others leave it as it is.
func TestGenericTurnsOffReceiveOffload(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	if afxdp.KernelAtLeast(6, 9) {
		require.NoError(t, bed.Server.Do(func() error { return ethtool.SetGRO(bed.Server.Device, true) }))
		p, err := steer.AttachGeneric(bed.Server.FD(), bed.Server.Ifindex, "")
		require.NoError(t, err)
		require.NoError(t, bed.Server.Do(func() error {
			on, err := ethtool.GRO(bed.Server.Device)
			require.True(t, on)
			return err
		}))
		require.NoError(t, p.Close())
	}
	defer steer.OlderKernel()()
	dir := bedtest.PinDir(t)
	gro := func() (on bool) {
		require.NoError(t, bed.Server.Do(func() (err error) {
			on, err = ethtool.GRO(bed.Server.Device)
			return err
		}))
		return on
	}
	for _, before := range []bool{true, false} {
		require.NoError(t, bed.Server.Do(func() error { return ethtool.SetGRO(bed.Server.Device, before) }))
		p, err := steer.AttachGeneric(bed.Server.FD(), bed.Server.Ifindex, dir)
		require.NoError(t, err)
		require.False(t, gro())
		require.NoError(t, p.Release())
		p, err = steer.Adopt(bed.Server.FD(), bed.Server.Ifindex, dir)
		require.NoError(t, err)
		require.Equal(t, steer.Generic, p.Mode())
		require.NoError(t, p.Close())
		require.Equal(t, before, gro())
	}
}

func TestAttachErrorsLeaveNothing(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	dir := bedtest.PinDir(t)
	_, err := steer.Attach(bed.Server.FD(), 4711, dir)
	require.ErrorContains(t, err, "find device")
	_, err = steer.Attach(bed.Server.FD(), bed.Server.Ifindex, "/proc/no-place-for-pins")
	require.Error(t, err)
	require.Empty(t, pinsIn(t, dir))
}

// Somebody else's XDP program is left alone.
func TestForeignProgramIsRespected(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	other := bedtest.PinDir(t)
	p, err := steer.Attach(bed.Server.FD(), bed.Server.Ifindex, other)
	require.NoError(t, err)
	dir := bedtest.PinDir(t)
	_, err = steer.Attach(bed.Server.FD(), bed.Server.Ifindex, dir)
	require.ErrorContains(t, err, "native")
	require.ErrorContains(t, err, "generic")
	require.Empty(t, pinsIn(t, dir))
	require.NoError(t, p.Close())
}

func TestEnsureBPFFSMountsOnce(t *testing.T) {
	dir := bedtest.PinDir(t)
	again, err := steer.EnsureBPFFS(filepath.Join(dir, "deeper"))
	require.NoError(t, err)
	require.False(t, again, "a directory on a bpffs is good as it is")
	require.NoError(t, os.Remove(filepath.Join(dir, "deeper")))
}

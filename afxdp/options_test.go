package afxdp_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// What is probed is what the tests of the kernel's features need: this kernel has all of it but perhaps huge pages.
func TestProbes(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	require.NoError(t, bed.Server.Do(func() error {
		for range 2 { // the second time the loopback device's queue has to come back first
			for _, o := range afxdp.ProbeOptions() {
				if o.Name != "umem of huge pages" {
					require.NoError(t, o.Err, o.Name)
				}
			}
		}
		f, err := afxdp.ProbeFeatures(bed.Server.Ifindex)
		require.NoError(t, err)
		require.Contains(t, f.String(), "XDP: native, redirect")
		require.NotContains(t, f.String(), "zero-copy", "veth copies")
		_, err = afxdp.ProbeFeatures(1 << 20)
		require.Error(t, err)
		return nil
	}))
}

// A queue opened with every knob set moves frames as one without. Huge pages are set aside for the test, two of them.
func TestKnobsOfAQueue(t *testing.T) {
	setAside(t, 2)
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	for _, c := range []struct {
		name string
		make func(string, int) (*os.File, error)
		cfg  afxdp.RingConfig
	}{
		{"small rings", afxdp.NewMemory, afxdp.RingConfig{RX: 64, TX: 64, Fill: 64, Completion: 64}},
		{"large rings", afxdp.NewMemory, afxdp.RingConfig{RX: 8192, TX: 8192, Fill: 8192, Completion: 8192}},
		{"busy polling", afxdp.NewMemory, afxdp.RingConfig{Busy: afxdp.BusyPoll{Usec: 50, Budget: 32}}},
		{"huge pages", afxdp.NewHugeMemory, afxdp.RingConfig{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, err := c.make("sluice-test", 512)
			require.NoError(t, err)
			defer mem.Close()
			m, err := afxdp.MapMemory(mem)
			require.NoError(t, err)
			defer func() { require.NoError(t, afxdp.UnmapMemory(m)) }()
			vi := openOver(t, bed.Server, mem, m, c.cfg)
			p := bedtest.OpenPort(t, bed.Client, 1, bedtest.PinDir(t))
			require.NoError(t, p.Program.SetListener(steer.Untagged, netip.Addr{}, port, 0))
			for i := range 200 {
				b := bedtest.Packet{DstMAC: bed.Client.MAC, SrcMAC: bed.Server.MAC, Flags: bedtest.ACK, Payload: fmt.Appendf(nil, "%d", i),
					Src: netip.AddrPortFrom(bed.Server.IPv4, 1000), Dst: netip.AddrPortFrom(bed.Client.IPv4, port)}.Bytes()
				copy(m.Frame(0), b)
				require.True(t, vi.Send(0, 0, uint32(len(b))))
				require.NoError(t, vi.Flush())
				require.Equal(t, b, await(t, p, 0))
				bedtest.Until(t, "the frame back", func() bool { return vi.Poll(make([]efvi.Event, 4)) == 1 })
			}
		})
	}
}

func openOver(t *testing.T, n *testbed.Node, mem *os.File, m efvi.Memory, cfg afxdp.RingConfig) *afxdp.VI {
	t.Helper()
	var q *afxdp.Queue
	bedtest.Until(t, "the queue", func() bool {
		err := n.Do(func() (err error) {
			q, err = afxdp.OpenQueue(n.Ifindex, 0, mem, cfg)
			return err
		})
		if err != nil {
			require.ErrorIs(t, err, unix.EBUSY)
		}
		return err == nil
	})
	defer q.Close()
	require.Equal(t, cfg.Busy.Usec > 0, q.Layout().BusyPoll)
	fd, err := unix.Dup(q.FD())
	require.NoError(t, err)
	vi, err := afxdp.Map(fd, q.Layout(), m, efvi.Info{Device: n.Device, Ifindex: n.Ifindex, MTU: 1500})
	require.NoError(t, err)
	t.Cleanup(func() { vi.Close() })
	return vi
}

// setAside adds huge pages to those of the machine until the test ends.
func setAside(t *testing.T, pages int) {
	t.Helper()
	const path = "/proc/sys/vm/nr_hugepages"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	had, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(had+pages)), 0o644))
	t.Cleanup(func() { require.NoError(t, os.WriteFile(path, text, 0o644)) })
}

// Without enough huge pages there is an error at once, and nothing is kept of them.
func TestTooFewHugePages(t *testing.T) {
	_, err := afxdp.NewHugeMemory("sluice-test", 1000)
	require.ErrorContains(t, err, "huge pages hold 512 each")
	_, err = afxdp.NewHugeMemory("sluice-test", 512<<20)
	require.Error(t, err)
}

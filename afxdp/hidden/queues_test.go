package hidden_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
	"github.com/sluice-net/sluice/afxdp/hidden"
)

// The models are after drivers' documents and sources, as far as they matter here: who chooses places, what a rule must look at.
var models = map[string]fakenic.Model{
	"ixgbe": {Rings: 8, Rules: 2045, OneMask: true, Table: 128, Key: 40},
	"mlx5":  {Rings: 16, Rules: 1024, Table: 256, Key: 40, Contexts: 15},
	"bnxt":  {Rings: 8, Rules: 128, Special: true, AllMask: true, NoVLAN: true, Table: 128, Key: 40, Contexts: 32},
	"sfc":   {Rings: 4, Rules: 8192, Special: true, Table: 128, Key: 40, Contexts: 7},
	"small": {Rings: 2, Rules: 2, NoVLAN: true, Table: 2, Key: 4},
}

var here = hidden.Identity{Boot: "b", NetNS: 1, Ifindex: 2}

func device(m fakenic.Model) (*fakenic.NIC, ethtool.NIC) {
	f := fakenic.New("eth0", m)
	return f, ethtool.NIC{Name: "eth0", Call: f}
}

// quickDir is a directory in memory, as /run is, where journals belong.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "hidden")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func take(t *testing.T, n ethtool.NIC, count int) (*hidden.Queues, string) {
	path := filepath.Join(quickDir(t), "eth0.json")
	h, err := hidden.Take(n, count, here, path)
	require.NoError(t, err)
	return h, path
}

func TestTakeAndRelease(t *testing.T) {
	for name, m := range models {
		for count := 1; count < min(m.Rings, 4); count++ {
			f, n := device(m)
			before := f.State()
			h, path := take(t, n, count)
			want := count
			if m.Contexts == 0 {
				want = 1
			}
			require.Len(t, h.Queues(), want, name)
			require.Equal(t, m.Rings-1, h.Queues()[want-1], "the last queues are taken")
			for hash := range uint32(1000) {
				q, dropped := f.Queue(ethtool.IP(false, false), hash)
				require.False(t, dropped)
				require.NotContains(t, h.Queues(), q, "%s: what no rule steers stays away", name)
			}
			require.FileExists(t, path)
			require.NoError(t, h.Release())
			require.NoFileExists(t, path)
			require.Equal(t, before, f.State(), name)
		}
	}
}

// A table that an administrator set by hand comes back entry by entry; one that the driver made is the driver's again.
func TestReleaseRestoresTheExactTable(t *testing.T) {
	f, n := device(models["mlx5"])
	odd := make([]uint32, 256)
	for i := range odd {
		odd[i] = uint32(i * i % 16)
	}
	f.Transform(1) // symmetric-xor
	for _, table := range [][]uint32{odd, nil} {
		require.NoError(t, n.SetTable(0, table))
		before := f.State()
		h, _ := take(t, n, 2)
		require.NotEqual(t, before, f.State())
		require.NoError(t, h.Release())
		require.Equal(t, before, f.State())
	}
	last := f.Log()[len(f.Log())-2]
	require.Len(t, last, 24, "the driver's own table is asked for without entries, so that it follows the number of queues again")
}

func TestReleaseLeavesWhatOthersChanged(t *testing.T) {
	f, n := device(models["sfc"])
	h, path := take(t, n, 1)
	require.NoError(t, n.SetTable(0, make([]uint32, 128)))
	require.ErrorContains(t, h.Release(), "changed by someone else")
	require.Equal(t, make([]uint32, 128), f.State().Contexts[0])
	require.NoFileExists(t, path)
}

func TestTakeKeepsOffQueuesOfOthers(t *testing.T) {
	_, n := device(models["sfc"])
	_, err := n.Insert(ethtool.Rule{Match: ethtool.IP(true, false).ToPort(9), Queue: 3, Location: ethtool.AnyLocation})
	require.NoError(t, err)
	h, _ := take(t, n, 1)
	require.Equal(t, []int{2}, h.Queues())
}

func TestDevicesThatCannot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	for name, m := range map[string]fakenic.Model{
		"no filters": {Rings: 4, Table: 8}, "no table": {Rings: 4, Rules: 8}, "one queue": {Rings: 1, Rules: 8, Table: 8},
	} {
		_, n := device(m)
		_, err := hidden.Take(n, 1, here, path)
		require.ErrorIs(t, err, hidden.ErrUnsupported, name)
		require.NoFileExists(t, path)
	}
	_, n := device(models["sfc"])
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := hidden.Take(n, 1, here, path)
	require.ErrorIs(t, err, unix.EEXIST, "what an earlier process left must be repaired first")
}

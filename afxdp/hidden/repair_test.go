package hidden_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
	"github.com/sluice-net/sluice/afxdp/hidden"
	"github.com/sluice-net/sluice/efvi"
)

// killed is what a fake device throws when its process dies.
type killed struct{}

// life is all that a process does with hidden queues.
func life(n ethtool.NIC, path string) (err error) {
	h, err := hidden.Take(n, 2, here, path)
	if err != nil {
		return err
	}
	for _, s := range []efvi.FilterSpec{web, anyIP, web} {
		if _, err := h.Steer(s, addrs); err != nil {
			return err
		}
	}
	out := efvi.IPLocal(efvi.TCP, netip.AddrPortFrom(addrs[0], 40000))
	err = h.Aim([]efvi.FilterSpec{out}, h.Queues()[0])
	if err == nil { // ixgbe does not: its rules look at other fields by now
		err = h.Unsteer(out)
	}
	if err := h.Unsteer(anyIP); err != nil {
		return err
	}
	return errors.Join(h.Release(), ignoring(err, unix.EINVAL))
}

func ignoring(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// At whichever request a process is killed, before the device did it or after: the repair brings the device back to what it was.
func TestRepairAfterDeathAtEveryRequest(t *testing.T) {
	for name, m := range models {
		if name == "bnxt" || name == "small" {
			continue // they do not take all of these filters
		}
		for _, after := range []bool{false, true} {
			for at := 1; ; at++ {
				f, n := device(m)
				_, err := n.Insert(ethtool.Rule{Match: ethtool.IP(true, true), Queue: 0, Location: 0})
				require.NoError(t, err)
				before := f.State()
				path := filepath.Join(quickDir(t), "j.json")
				died := dieAt(f, at, after, func() { require.NoError(t, life(n, path)) })
				if _, err := os.Stat(path); err == nil {
					require.NoError(t, hidden.Repair(path, f, func(hidden.Identity) string { return "eth0" }), "%s died at request %d", name, at)
				}
				require.NoFileExists(t, path)
				require.Equal(t, before, f.State(), "%s died at request %d, after it: %v", name, at, after)
				if !died {
					require.Greater(t, at, 15)
					break
				}
			}
		}
	}
}

// dieAt runs do, and ends it at the nth request from now.
func dieAt(f *fakenic.NIC, n int, after bool, do func()) (died bool) {
	defer func() {
		f.Trouble, f.Done = nil, nil
		if r := recover(); r != nil {
			if _, is := r.(killed); !is {
				panic(r)
			}
			died = true
		}
	}()
	hook := func(uint32) error {
		if n--; n == 0 {
			panic(killed{})
		}
		return nil
	}
	if after {
		f.Done = func(cmd uint32) { _ = hook(cmd) }
	} else {
		f.Trouble = hook
	}
	do()
	return false
}

func TestRepairForgetsDevicesThatAreGone(t *testing.T) {
	f, n := device(models["mlx5"])
	_, path := take(t, n, 1)
	left := f.State()
	require.NoError(t, hidden.Repair(path, f, func(id hidden.Identity) string {
		require.Equal(t, here, id)
		return ""
	}))
	require.Equal(t, left, f.State())
	require.NoFileExists(t, path)
}

func TestRepairRefusesWhatIsNoJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.json")
	f, _ := device(models["mlx5"])
	for text, why := range map[string]string{"": "journal", "{}": "version 0", `{"version":1,"rules":["zz"]}`: `rule "zz"`} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.ErrorContains(t, hidden.Repair(path, f, func(hidden.Identity) string { return "eth0" }), why)
	}
}

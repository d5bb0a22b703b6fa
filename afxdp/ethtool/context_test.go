package ethtool_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
)

const symmetricXOR = 1

// What is done to the input of the hash stays, whoever sets a table; on a kernel that knows nothing of it, nothing is said of it.
func TestTheHashesInputStaysAsItIs(t *testing.T) {
	nic := fakenic.New("fake0", fakenic.Model{Rings: 4, Rules: 64, Table: 8, Key: 40, Contexts: 1})
	n := ethtool.NIC{Name: "fake0", Call: nic}
	nic.Transform(symmetricXOR)
	before := nic.State()
	require.NoError(t, n.SetTable(0, []uint32{0, 1, 2, 0, 1, 2, 0, 1}))
	require.EqualValues(t, symmetricXOR, nic.State().Xfrm)
	require.NoError(t, n.SetTable(0, nil))
	require.Equal(t, before, nic.State())

	// ethtool of Debian 12 is older than that: the difference is a known one.
	runEthtool(t, nic, "-X", "fake0", "equal", "3")
	require.Zero(t, nic.State().Xfrm)

	old := fakenic.New("fake0", fakenic.Model{Rings: 4, Rules: 64, Table: 8, Key: 40, Before68: true})
	require.NoError(t, ethtool.NIC{Name: "fake0", Call: old}.SetTable(0, []uint32{0, 1, 2, 0, 1, 2, 0, 1}))
}

// What drivers and kernel refuse of contexts, ours and the real ethtool's requests alike.
func TestContextsHaveLimits(t *testing.T) {
	table := []uint32{2, 3, 2, 3, 2, 3, 2, 3}
	none := ethtool.NIC{Name: "fake0", Call: fakenic.New("fake0", fakenic.Model{Rings: 4, Rules: 64, Table: 8, Key: 40})}
	_, err := none.AddContext(table)
	require.ErrorIs(t, err, unix.EOPNOTSUPP)
	_, err = none.Spread(1)
	require.ErrorIs(t, err, unix.EOPNOTSUPP)

	nic := fakenic.New("fake0", fakenic.Model{Rings: 4, Rules: 64, Table: 8, Key: 40, Contexts: 1})
	n := ethtool.NIC{Name: "fake0", Call: nic}
	_, err = n.AddContext(table[:7])
	require.ErrorIs(t, err, unix.EINVAL, "as large as the device's")
	_, err = n.AddContext([]uint32{2, 3, 2, 3, 2, 3, 2, 4})
	require.ErrorIs(t, err, unix.EINVAL, "no such ring")
	_, err = n.AddContext(nil)
	require.ErrorIs(t, err, unix.EINVAL)
	id, err := n.AddContext(table)
	require.NoError(t, err)
	_, err = n.AddContext(table)
	require.ErrorIs(t, err, unix.ENOSPC)
	require.ErrorIs(t, n.SetTable(id+1, table), unix.ENOENT)
	require.ErrorIs(t, n.DeleteContext(id+1), unix.ENOENT)

	_, err = n.Insert(ethtool.Rule{Match: tcp4.ToPort(80), Context: id, Queue: 1, Location: 1})
	require.ErrorIs(t, err, unix.EINVAL, "the table says which queue")
	_, err = n.Insert(ethtool.Rule{Match: tcp4.ToPort(80), Context: id, Queue: ethtool.Discard, Location: 1})
	require.ErrorIs(t, err, unix.EINVAL)
	_, err = n.Insert(ethtool.Rule{Match: tcp4.ToPort(80), Context: id + 1, Location: 1})
	require.ErrorIs(t, err, unix.EINVAL)
	_, err = n.Insert(ethtool.Rule{Match: tcp4.ToPort(80), Context: id, Location: 1})
	require.NoError(t, err)
	require.ErrorIs(t, n.DeleteContext(id), unix.EBUSY, "a rule leads there")
	require.NoError(t, n.Delete(1))
	require.NoError(t, n.DeleteContext(id))
}

package testbed

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
)

const patience = 15 * time.Second

func newBed(t *testing.T) *Bed {
	b, err := New(Config{Queues: 1})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		require.NoError(t, WaitClean(patience, b.Names()...))
	})
	return b
}

func pinDir(t *testing.T) string {
	dir := t.TempDir()
	_, err := steer.EnsureBPFFS(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, steer.UnmountBPFFS(dir)) })
	return dir
}

// leave attaches the XDP program to a device, and has nothing of it but the pins.
func leave(t *testing.T, n *Node, ifindex int, dir string) steer.Pin {
	p, err := steer.Attach(n.FD(), ifindex, dir)
	require.NoError(t, err)
	require.NoError(t, p.Release())
	return p.Pin()
}

func requireLeft(t *testing.T, want []string, names ...string) {
	t.Helper()
	left, err := Leftovers(names...)
	require.NoError(t, err)
	require.Len(t, left, len(want), "%q", left)
	for i := range want {
		require.Regexp(t, "^"+want[i]+"$", left[i])
	}
}

// A pin and the program that it keeps are found, whoever mounted what they lie in; beds beside it do not take them for theirs.
func TestWhatIsLeftIsFound(t *testing.T) {
	b, beside, dir := newBed(t), newBed(t), pinDir(t)
	pin := leave(t, b.Server, b.Server.Ifindex, dir)
	require.NoError(t, b.Close())
	require.NoError(t, beside.Close())
	want := []string{`XDP program \d+ of ` + pin.String(), "pin " + dir + "/" + pin.String()}
	requireLeft(t, want, b.Names()...)
	requireLeft(t, want) // of all that this process made
	require.NoError(t, WaitClean(patience, beside.Names()...))
	require.NoError(t, steer.RemovePin(dir, pin))
	require.NoError(t, WaitClean(patience, b.Names()...))
}

// A namespace gets the inode of one that is gone, of which somebody else's pins may be left: these are not the new one's, but its own are.
func TestPinsOfTheInodesLastOwner(t *testing.T) {
	b, dir := newBed(t), pinDir(t)
	older := leave(t, b.Server, b.Server.Ifindex, dir)
	letGo([]string{b.Server.Name})
	require.NoError(t, hold(b.Server)) // it begins, and all of that is there
	_, err := b.Server.Run("ip", "link", "add", "more0", "type", "veth", "peer", "more1")
	require.NoError(t, err)
	var more int
	require.NoError(t, b.Server.Do(func() error {
		i, err := net.InterfaceByName("more0")
		if err == nil {
			more = i.Index
		}
		return err
	}))
	own := leave(t, b.Server, more, dir)
	require.NoError(t, b.Close())
	requireLeft(t, []string{`XDP program \d+ of ` + own.String(), "pin " + dir + "/" + own.String()}, b.Server.Name)
	require.NoError(t, steer.RemovePin(dir, own))
	require.NoError(t, WaitClean(patience, b.Server.Name))
	require.NoError(t, steer.RemovePin(dir, older))
}

package proto

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStateIsSharedAndChecked(t *testing.T) {
	fd, err := NewState()
	require.NoError(t, err)
	defer unix.Close(fd)
	w, err := MapState(fd)
	require.NoError(t, err)
	defer w.Close()
	r, err := MapState(fd)
	require.NoError(t, err)
	defer r.Close()

	a := Entry{State: 1, Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:4000"), Handle: 5, Ifindex: 3, Queue: 1, InQ: 7}
	b := Entry{Slot: 1, State: 8, Local: netip.MustParseAddrPort("[fd00::1]:80"), Remote: netip.MustParseAddrPort("[fd00::2]:4001"), Handle: 6}
	i, j := w.Add(&a), w.Add(&b)
	var got []Entry
	collect := func(e Entry) bool { got = append(got, e); return true }
	r.Each(collect)
	require.Equal(t, []Entry{a, b}, got)

	w.Remove(i)
	w.SetState(j, 9)
	b.State = 9
	got = nil
	r.Each(collect)
	require.Equal(t, []Entry{b}, got)
	require.Equal(t, i, w.Add(&a), "a freed slot is taken again")

	w.Count(CountRxPackets, 3)
	require.EqualValues(t, 3, r.Counter(CountRxPackets))
	require.Error(t, unix.Ftruncate(fd, 10), "a shrunk memfd would make readers fault")
}

func TestStateAllocatesNothing(t *testing.T) {
	fd, err := NewState()
	require.NoError(t, err)
	defer unix.Close(fd)
	m, err := MapState(fd)
	require.NoError(t, err)
	defer m.Close()
	e := Entry{State: 1, Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:4000")}
	m.Remove(m.Add(&e))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		i := m.Add(&e)
		m.SetState(i, 4)
		m.Count(CountTxPackets, 1)
		m.Remove(i)
	}))
}

func TestForeignMemoryIsRefused(t *testing.T) {
	fd, err := unix.MemfdCreate("x", unix.MFD_ALLOW_SEALING)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Ftruncate(fd, StateSize))
	_, err = MapState(fd)
	require.ErrorContains(t, err, "no sealed memfd")
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
	require.NoError(t, err)
	_, err = MapState(fd)
	require.ErrorContains(t, err, "magic")
}

package nic

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// openTimed is open with times.
func openTimed(t *testing.T, n *testbed.Node) (*PD, *Port) {
	t.Helper()
	pd, err := NewPD("sluice-test", 4*frames)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pd.Close()) })
	var p *Port
	require.NoError(t, n.Do(func() (err error) {
		p, err = pd.OpenTimed(n.Device, efvi.EthType(0x88b5), frames)
		return err
	}))
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return pd, p
}

// veth claims to stamp what it receives, and the program that asks it runs in its driver: it has no clock, and no packet is said to have a
// time. What is sent is stamped by the kernel, in copy mode, and no launch time is granted.
func TestTimesOverVeth(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	from, sender := openTimed(t, bed.Client)
	to, receiver := openTimed(t, bed.Server)
	out, in := sender.VIs[0], receiver.VIs[0]
	t.Logf("times: %+v", out.Times())
	require.False(t, out.Times().Launch, "veth holds nothing back")
	require.Equal(t, efvi.DeviceClock, in.Times().RX, "its driver says so")

	frame, err := from.Alloc(1)
	require.NoError(t, err)
	b := from.Memory.Frame(frame)[efvi.SumRoom:][:64]
	copy(b, bed.Server.MAC[:])
	copy(b[6:], bed.Client.MAC[:])
	b[12], b[13], b[14] = 0x88, 0xb5, 'x'
	require.False(t, out.SendTimed(frame, efvi.SumRoom, 64, 1, false), "a launch time")
	if out.Times().TX == efvi.NoClock {
		t.Skip("this kernel knows no transmit metadata")
	}
	for i := range to.Memory.Bytes { // what the program writes in front of the packet, 0, is over this
		to.Memory.Bytes[i] = 0xff
	}
	before := tai(t)
	require.True(t, out.SendTimed(frame, efvi.SumRoom, 64, 0, true))
	require.NoError(t, out.Flush())
	bedtest.Until(t, "the packet", func() bool {
		var ev [8]efvi.Event
		for _, e := range ev[:in.Poll(ev[:])] {
			at, ok := in.ReceivedAt(e)
			require.False(t, ok, "a time of a device without a clock: %d", at)
			require.Equal(t, b, to.Memory.Data(e))
			return true
		}
		return false
	})
	bedtest.Until(t, "the frame to be ours again", func() bool {
		var ev [8]efvi.Event
		n := out.Poll(ev[:])
		return n == 1 && ev[0].Kind == efvi.EventTX && ev[0].Frame == frame
	})
	at, ok := out.SentAt(frame, efvi.SumRoom)
	require.True(t, ok)
	require.WithinRange(t, time.Unix(0, int64(at)), before, tai(t))
}

func tai(t *testing.T) time.Time {
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_TAI, &ts))
	return time.Unix(ts.Unix())
}

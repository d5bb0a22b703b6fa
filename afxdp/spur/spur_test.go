package spur_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/spur"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const frames = 64

// reader is a program at the end of a spur.
type reader struct {
	q   *spur.Queue
	mem efvi.Memory
	vi  *afxdp.VI
}

func open(t *testing.T, n *testbed.Node) *reader {
	file, err := afxdp.NewMemory("sluice-test", frames)
	require.NoError(t, err)
	defer file.Close()
	r := &reader{}
	r.q, err = spur.Open(n.FD(), n.Ifindex, 1500, file, afxdp.RingConfig{TxMetadata: true})
	require.NoError(t, err)
	t.Cleanup(func() { r.close(t) })
	r.mem, err = afxdp.MapMemory(file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = afxdp.UnmapMemory(r.mem) })
	fd, err := unix.FcntlInt(uintptr(r.q.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	r.vi, err = afxdp.Map(fd, r.q.Layout(), r.mem, efvi.Info{MTU: 1500})
	require.NoError(t, err)
	half := make([]uint32, frames/2)
	for i := range half {
		half[i] = uint32(i)
	}
	require.Equal(t, len(half), r.vi.Post(half))
	return r
}

func (r *reader) close(t *testing.T) {
	if r.q != nil {
		require.NoError(t, r.q.Close())
		require.NoError(t, r.vi.Close())
	}
	r.q = nil
}

// gets waits for a packet.
func (r *reader) gets(t *testing.T, want []byte) {
	t.Helper()
	bedtest.Until(t, "the packet at the spur's end", func() bool {
		var ev [8]efvi.Event
		for _, e := range ev[:r.vi.Poll(ev[:])] {
			if e.Kind == efvi.EventRX && bytes.Equal(r.mem.Data(e), want) {
				return true
			}
		}
		time.Sleep(time.Millisecond)
		return false
	})
}

// Packets of one entry come by a spur whatever queue they arrive at, those of another by the device's own; what is sent at the spur's end
// leaves by the device; and with its socket the spur is gone.
func TestASpurHasThePacketsOfEveryQueue(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	server := bedtest.OpenPort(t, bed.Server, 2, bedtest.PinDir(t))
	client := bedtest.OpenPort(t, bed.Client, 2, "")
	prog := server.Program
	r := open(t, bed.Server)
	ns, ifindex := r.q.Entrance()
	require.NoError(t, prog.SetSpur(steer.FirstSpur+3, ns, ifindex, r.q.FD()))
	require.NoError(t, prog.SetListener(steer.Untagged, bed.Server.IPv4, 80, 0))
	require.NoError(t, prog.SetListener(steer.Link{Way: steer.Way{First: steer.FirstSpur + 3, Spurs: 1}}, bed.Server.IPv4, 81, 0))
	packet := func(from, to uint16) []byte {
		return bedtest.Packet{
			DstMAC: bed.Server.MAC, SrcMAC: bed.Client.MAC, Flags: bedtest.SYN,
			Src: netip.AddrPortFrom(bed.Client.IPv4, from), Dst: netip.AddrPortFrom(bed.Server.IPv4, to),
		}.Bytes()
	}
	for queue := range 2 {
		p, own := packet(uint16(5000+queue), 81), packet(uint16(5000+queue), 80)
		client.Transmit(t, queue, 0, p)
		r.gets(t, p)
		client.Transmit(t, queue, 1, own)
		bedtest.Until(t, "the other's packet at its queue", func() bool {
			got := server.Received(queue)
			return len(got) == 1 && bytes.Equal(got[0], own)
		})
	}
	at, err := prog.EndsAt(steer.FirstSpur+3, r.q.FD())
	require.True(t, at && err == nil)
	at, err = prog.EndsAt(steer.FirstSpur+3, server.VIs[0].FD())
	require.True(t, !at && err == nil, "another's socket")

	back := bedtest.Packet{
		DstMAC: bed.Client.MAC, SrcMAC: bed.Server.MAC, Flags: bedtest.SYN,
		Src: netip.AddrPortFrom(bed.Server.IPv4, 81), Dst: netip.AddrPortFrom(bed.Client.IPv4, 90),
	}.Bytes()
	require.NoError(t, client.Program.SetListener(steer.Untagged, bed.Client.IPv4, 90, 0))
	copy(r.mem.Frame(frames - 1)[efvi.SumRoom:], back)
	require.True(t, r.vi.Send(frames-1, efvi.SumRoom, uint32(len(back))))
	require.NoError(t, r.vi.Flush())
	bedtest.Until(t, "what was sent at the spur's end", func() bool {
		for queue := range 2 {
			for _, p := range client.Received(queue) {
				if bytes.Equal(p, back) {
					return true
				}
			}
		}
		return false
	})
	r.close(t)
	bedtest.Until(t, "the spur to be gone with its socket", func() bool {
		return !prog.HasSpur(steer.FirstSpur + 3)
	})
}

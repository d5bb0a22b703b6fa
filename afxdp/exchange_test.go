package afxdp_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const port = 8080

// joined opens both ends of a bed, steered so that each hears the other's packets.
func joined(t testing.TB, cfg testbed.Config) (bed *testbed.Bed, server, client *bedtest.Port) {
	bed = bedtest.New(t, cfg)
	dir := bedtest.PinDir(t)
	server = bedtest.OpenPort(t, bed.Server, cfg.Queues, dir)
	client = bedtest.OpenPort(t, bed.Client, cfg.Queues, dir)
	require.NoError(t, server.Program.SetListener(steer.Untagged, netip.Addr{}, port, 0))
	require.NoError(t, client.Program.SetListener(steer.Untagged, netip.Addr{}, port, 0))
	return bed, server, client
}

func to(b *testbed.Bed, payload string) bedtest.Packet {
	return bedtest.Packet{
		DstMAC: b.Server.MAC, SrcMAC: b.Client.MAC, Flags: bedtest.ACK, Payload: []byte(payload),
		Src: netip.AddrPortFrom(b.Client.IPv4, 1000), Dst: netip.AddrPortFrom(b.Server.IPv4, port),
	}
}

// await takes one packet from a queue.
func await(t testing.TB, p *bedtest.Port, queue int) []byte {
	t.Helper()
	var got [][]byte
	bedtest.Until(t, fmt.Sprintf("a packet on queue %d", queue), func() bool {
		got = append(got, p.Received(queue)...)
		return len(got) > 0
	})
	require.Len(t, got, 1)
	return got[0]
}

// What goes in at a queue comes out at the same queue of the other end, byte for byte.
func TestFourQueuesExchangeFrames(t *testing.T) {
	const queues = 4
	bed, server, client := joined(t, testbed.Config{Queues: queues})
	for q := range queues {
		info := server.VIs[q].Info()
		require.Equal(t, q, info.Queue)
		require.Equal(t, bed.Server.MAC, info.MAC)
		require.Equal(t, 1500, info.MTU)
		require.True(t, info.Native && info.PartialChecksum && !info.ZeroCopy, "veth: %+v", info)
	}
	for slot := range Slots {
		for q := range queues {
			there := to(bed, fmt.Sprintf("%d on %d", slot, q)).Bytes()
			client.Transmit(t, q, slot, there)
			require.Equal(t, there, await(t, server, q))

			p := to(bed, fmt.Sprintf("%d back on %d", slot, q))
			p.SrcMAC, p.DstMAC = p.DstMAC, p.SrcMAC
			p.Src, p.Dst = netip.AddrPortFrom(p.Dst.Addr(), 1000), netip.AddrPortFrom(p.Src.Addr(), port)
			server.Transmit(t, q, slot, p.Bytes())
			require.Equal(t, p.Bytes(), await(t, client, q))
		}
	}
	n, err := server.Program.Counters()
	require.NoError(t, err)
	require.EqualValues(t, Slots*queues, n["redirected"], n)
}

// Slots of the exchange: frames used per queue.
const Slots = 16

// On a device with large packets, those that fit a frame come in one piece, those of the device's MTU in three, and none is lost. Each is
// sent in as many frames.
func TestLargestPacket(t *testing.T) {
	bed, server, client := joined(t, testbed.Config{Queues: 1, MTU: 9000})
	require.Equal(t, 9000, server.VIs[0].Info().MTU)
	for i, n := range []int{afxdp.MaxMTU, afxdp.MaxMTU + 1, 2*afxdp.MaxMTU + 14, 2*afxdp.MaxMTU + 15, 9000, 100} {
		p := to(bed, strings.Repeat("x", n-44)+fmt.Sprintf("%04d", i)).Bytes()
		client.TransmitParts(t, 0, p, 1000)
		require.Equal(t, p, await(t, server, 0), "%d bytes", n)
	}
	st, err := server.VIs[0].Stats()
	require.NoError(t, err)
	require.Zero(t, st.RxDropped+st.RxRingFull+st.FillRingEmpty+st.RxInvalid, "%+v", st)
	var ev [64]efvi.Event
	bedtest.Until(t, "every frame to come back", func() bool {
		client.VIs[0].Poll(ev[:])
		_, tx, _ := client.VIs[0].Levels()
		return tx == 0
	})
}

// The pieces of a packet are told of by one call, even if that leaves room in it unused.
func TestPacketIsToldAsAWhole(t *testing.T) {
	bed, server, client := joined(t, testbed.Config{Queues: 1, MTU: 9000})
	for i := range 4 {
		client.TransmitParts(t, 0, to(bed, strings.Repeat("y", 8900+i)).Bytes(), 0)
	}
	bedtest.Until(t, "all to be there", func() bool { rx, _, _ := server.VIs[0].Levels(); return rx == 12 })
	ev := make([]efvi.Event, 8)
	for range 2 {
		require.Equal(t, 6, server.VIs[0].Poll(ev), "two packets")
		for i, e := range ev[:6] {
			require.Equal(t, i%3 == 2, e.Kind == efvi.EventRX)
		}
	}
	require.Zero(t, server.VIs[0].Poll(ev))
}

// A batch larger than the kernel's budget for one call goes out by one Flush, and every frame
// comes back.
func TestBatchGoesOutWhole(t *testing.T) {
	bed, server, client := joined(t, testbed.Config{Queues: 1})
	packet := to(bed, "batch").Bytes()
	for i := range bedtest.Half {
		frame := uint32(bedtest.Half + i)
		n := copy(client.Memory.Frame(frame), packet)
		require.True(t, client.VIs[0].Send(frame, 0, uint32(n)))
	}
	require.NoError(t, client.VIs[0].Flush())

	back := map[uint32]bool{}
	var got int
	bedtest.Until(t, "all packets there and all frames back", func() bool {
		var ev [32]efvi.Event
		for _, e := range ev[:client.VIs[0].Poll(ev[:])] {
			require.Equal(t, efvi.EventTX, e.Kind)
			require.False(t, back[e.Frame], "frame %d came back twice", e.Frame)
			back[e.Frame] = true
		}
		got += len(server.Received(0))
		return len(back) == bedtest.Half && got == bedtest.Half
	})
	st, err := server.VIs[0].Stats()
	require.NoError(t, err)
	require.Zero(t, st.RxDropped+st.RxRingFull+st.FillRingEmpty+st.RxInvalid, "%+v", st)
}

// The TX ring says when it is full, and forgets nothing.
func TestSendSaysWhenFull(t *testing.T) {
	_, _, client := joined(t, testbed.Config{Queues: 1})
	n := 0
	for client.VIs[0].Send(bedtest.Half, 0, 60) {
		n++
	}
	require.Equal(t, 2048, n)
	bedtest.Until(t, "the ring to drain", func() bool {
		var ev [256]efvi.Event
		client.VIs[0].Poll(ev[:])
		return client.VIs[0].Flush() == nil && client.VIs[0].Send(bedtest.Half, 0, 60)
	})
}

// Descriptors that the kernel must not follow are counted, and hurt nothing.
func TestBadDescriptorsAreCounted(t *testing.T) {
	bed, server, client := joined(t, testbed.Config{Queues: 1})
	vi := client.VIs[0]
	require.True(t, vi.Send(1<<30, 0, 60), "a frame far beyond the memory")
	require.True(t, vi.Send(0, 4000, 200), "over the end of a frame")
	require.NoError(t, vi.Flush())
	server.VIs[0].Post([]uint32{1 << 30})
	client.Transmit(t, 0, 0, to(bed, "after").Bytes())
	require.Equal(t, to(bed, "after").Bytes(), await(t, server, 0))
	st, err := vi.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 2, st.TxInvalid)
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	bed, server, client := joined(t, testbed.Config{Queues: 1})
	packet := to(bed, "x").Bytes()
	n := copy(client.Memory.Frame(bedtest.Half), packet)
	ev, post := make([]efvi.Event, 64), make([]uint32, 1)
	seen := 0
	allocs := testing.AllocsPerRun(200, func() {
		client.VIs[0].Send(bedtest.Half, 0, uint32(n))
		_ = client.VIs[0].Flush()
		client.VIs[0].Poll(ev)
		for _, e := range ev[:server.VIs[0].Poll(ev)] {
			if e.Kind == efvi.EventRX {
				post[0] = e.Frame
				seen += server.VIs[0].Post(post)
			}
		}
	})
	require.Zero(t, allocs)
	require.NotZero(t, seen)
}

func TestOpenErrorsNameTheStep(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	mem, err := afxdp.NewMemory("sluice-test", 64)
	require.NoError(t, err)
	defer mem.Close()
	open := func(ifindex, queue int, cfg afxdp.RingConfig) error {
		return bed.Server.Do(func() error {
			q, err := afxdp.OpenQueue(ifindex, queue, mem, cfg)
			if err == nil {
				err = q.Close()
			}
			return err
		})
	}
	require.NoError(t, open(bed.Server.Ifindex, 0, afxdp.RingConfig{}), "works, without a program too")
	require.ErrorContains(t, open(bed.Server.Ifindex, 9, afxdp.RingConfig{}), "bind")
	require.ErrorContains(t, open(4711, 0, afxdp.RingConfig{}), "bind")
	require.ErrorContains(t, open(bed.Server.Ifindex, 0, afxdp.RingConfig{RX: 100}), "RX ring")
}

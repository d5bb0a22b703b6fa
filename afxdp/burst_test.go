package afxdp_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// takeBursts gives a port's queue a socket for bursts.
func takeBursts(t *testing.T, n *testbed.Node, p *bedtest.Port) {
	t.Helper()
	require.NoError(t, n.Do(func() error {
		fd, err := afxdp.BurstSocket(p.VIs[0].Info())
		if err == nil {
			p.VIs[0].Bursts(fd)
		}
		return err
	}))
}

// burst is a packet as if it were one segment with that payload, cut into pieces.
func burst(p bedtest.Packet, payload []byte, size int, pieces ...int) *efvi.Burst {
	p.Payload = payload
	p.Flags = bedtest.ACK | bedtest.PSH
	b := p.Bytes()
	head := b[:len(b)-len(payload)]
	out := &efvi.Burst{Head: head, IP: 14, TCP: len(head) - 20, Size: size}
	addrs := head[out.IP+12 : out.IP+20]
	if p.Dst.Addr().Is6() {
		addrs = head[out.IP+8 : out.IP+40]
	}
	binary.BigEndian.PutUint16(head[out.TCP+16:], pseudo(addrs, 20+len(payload)))
	for _, n := range pieces {
		out.Payload = append(out.Payload, payload[:n])
		payload = payload[n:]
	}
	out.Payload = append(out.Payload, payload)
	return out
}

// pseudo is the pseudo-header's sum.
func pseudo(addrs []byte, n int) uint16 {
	s := uint32(n + unix.IPPROTO_TCP)
	for i := 0; i < len(addrs); i += 2 {
		s += uint32(binary.BigEndian.Uint16(addrs[i:]))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// A burst arrives as the segments it stands for, behind what was sent before it, where its device does not take packets that are not cut.
func TestBurstArrivesAsSegments(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		bed, server, client := joined(t, testbed.Config{Queues: 1})
		_, err := bed.Client.Run("ethtool", "-K", bed.Client.Device, "tso", "off", "gso", "off")
		require.NoError(t, err)
		takeBursts(t, bed.Client, client)
		p := to(bed, "")
		if v6 {
			p.Src, p.Dst = netip.AddrPortFrom(bed.Client.IPv6, 1000), netip.AddrPortFrom(bed.Server.IPv6, port)
		}
		p.Seq = 1000
		payload := make([]byte, 2500)
		for i := range payload {
			payload[i] = byte(i * 7 >> 3)
		}
		first := p
		first.Payload = []byte("first")
		vi := client.VIs[0]
		vi.LeaveKicks(true)
		client.Transmit(t, 0, 0, first.Bytes()) // and nobody wakes the kernel
		require.True(t, vi.Burst(burst(p, payload, 1000, 1, 700, 999)))

		var got [][]byte
		bedtest.Until(t, "four packets", func() bool {
			got = append(got, server.Received(0)...)
			return len(got) >= 4
		})
		require.Len(t, got, 4)
		require.True(t, bytes.HasSuffix(got[0], []byte("first")))
		for i, want := range [][]byte{payload[:1000], payload[1000:2000], payload[2000:]} {
			checkSegment(t, got[i+1], p, want, 1000+uint32(1000*i), i == 2)
		}
	}
}

// checkSegment compares a frame with the one that a sender without offload would have made, but for the IPv4 identification
// and the checksums, which are looked at by themselves.
func checkSegment(t *testing.T, got []byte, p bedtest.Packet, payload []byte, seq uint32, last bool) {
	t.Helper()
	p.Payload, p.Seq, p.Flags = payload, seq, bedtest.ACK
	if last {
		p.Flags |= bedtest.PSH
	}
	want := p.Bytes()
	require.Len(t, got, len(want))
	sum, id := len(want)-len(payload)-4, 0
	if p.Dst.Addr().Is4() {
		id = 14 + 4
		require.Zero(t, ^fold(got[14:34]), "IP checksum")
		copy(got[14+10:14+12], want[14+10:])
		copy(got[id:id+2], want[id:])
	}
	addrs := want[14+8 : 14+40]
	if id > 0 {
		addrs = want[14+12 : 14+20]
	}
	if binary.BigEndian.Uint16(got[sum:]) == pseudo(addrs, 20+len(payload)) { // left to a device, which veth is not
		copy(got[sum:sum+2], want[sum:])
	}
	require.Equal(t, want, got)
}

func fold(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return uint16(s&0xffff + s>>16)
}

// On veth a packet comes in by the queue that it left by, and nobody can say by which a burst does.
func TestBurstsNeedOneQueueOnVeth(t *testing.T) {
	_, _, client := joined(t, testbed.Config{Queues: 2})
	_, err := afxdp.BurstSocket(client.VIs[0].Info())
	require.Error(t, err)
	require.False(t, client.VIs[0].Burst(&efvi.Burst{}))
}

// Whoever has the socket cannot listen by it, whatever it binds it to; nor does it open for another device of the same number.
func TestBurstSocketIsDeaf(t *testing.T) {
	bed, _, client := joined(t, testbed.Config{Queues: 1})
	info := client.VIs[0].Info()
	require.NoError(t, bed.Client.Do(func() error {
		fd, err := afxdp.BurstSocket(info)
		require.NoError(t, err)
		defer unix.Close(fd)
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
		require.NoError(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: info.Ifindex}))
		require.Error(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
		_, _ = bed.Server.Run("ping", "-c", "1", "-W", "1", bed.Client.IPv4.String())
		_, err = unix.Read(fd, make([]byte, 2048))
		require.ErrorIs(t, err, unix.EAGAIN)
		info.MAC[5]++
		_, err = afxdp.BurstSocket(info)
		require.ErrorContains(t, err, "another one")
		return nil
	}))
}

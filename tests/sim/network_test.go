package sim

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// TestUnknownNeighbour: packets wait, bounded, until the kernel has found the address; then they go at once.
func TestUnknownNeighbour(t *testing.T) {
	w := newWorld(t, config{seed: 1})
	l, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 200)
	require.NoError(t, err)
	r := w.host[0].routes
	r.unresolved = true
	for port := range uint16(100) {
		w.connect(1000 + port)
	}
	w.run(100 * ms)
	require.Positive(t, r.asked)
	require.Zero(t, w.host[0].Counters().TxPackets)
	require.EqualValues(t, 100-64, w.host[0].Counters().NeighDrops)
	r.unresolved = false
	r.gen++
	w.run(50 * ms)
	require.Equal(t, 64, l.Listener().Waiting(), "the SYNs that were kept are answered without a timeout")
	w.until(5*second, "the others come by their timers", func() bool { return l.Listener().Waiting() == 100 })
}

// TestNeighbourLostInTheMiddle: data waits in its connection's queue, and nothing is lost.
func TestNeighbourLostInTheMiddle(t *testing.T) {
	w := newWorld(t, config{seed: 1, link: [2]Link{{Delay: ms}, {Delay: ms}}})
	a, b := w.pair()
	s := w.send(a, b, 500_000)
	w.run(5 * ms)
	w.host[0].routes.unresolved = true
	w.host[0].routes.gen++
	w.run(300 * ms)
	got := s.got
	require.Less(t, got, 500_000)
	w.host[0].routes.unresolved = false
	w.host[0].routes.gen++
	w.until(10*second, "the rest arrives", s.over)
	require.NoError(t, s.err)
}

// tooBig is an ICMP "fragmentation needed" about a segment that host 1 sent to host 0.
func (w *world) tooBig(seq uint32, mtu uint16) []byte {
	a, b := w.host[0], w.host[1]
	quoted := make([]byte, wire.IPv4Len+8)
	(&wire.IPv4Fields{TTL: 60, Proto: wire.ProtoTCP, DF: true, Src: b.addr, Dst: a.addr, PayloadLen: 1480}).Put(quoted)
	binary.BigEndian.PutUint16(quoted[20:], 80)
	binary.BigEndian.PutUint16(quoted[22:], 40000)
	binary.BigEndian.PutUint32(quoted[24:], seq)
	m := append([]byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, quoted...)
	binary.BigEndian.PutUint16(m[2:], ^wire.Sum(m))
	out := make([]byte, wire.EthernetLen+wire.IPv4Len, 100)
	(&wire.EthernetFields{Dst: b.nic.info.MAC, Type: wire.TypeIPv4}).Put(out)
	(&wire.IPv4Fields{TTL: 64, Proto: wire.ProtoICMP, Src: netip.MustParseAddr("192.0.2.254"), Dst: b.addr, PayloadLen: len(m)}).Put(out[wire.EthernetLen:])
	return append(out, m...)
}

// TestPathMTU: the way back has a link of 1,000 bytes that drops larger packets and says so (RFC 1191).
func TestPathMTU(t *testing.T) {
	w := newWorld(t, config{seed: 2, link: [2]Link{{Delay: ms}, {Delay: ms}}})
	a, b := w.pair()
	told := 0
	w.host[1].nic.narrow = 1000
	w.host[1].nic.tooBig = func(frame []byte) {
		told++
		w.put(packet{at: w.now + ms, to: w.host[1].nic, data: w.tooBig(wire.TCP(frame[34:]).Seq(), 1000)})
	}
	s := w.send(b, a, 200_000)
	w.until(20*second, "all arrives in smaller packets", s.over)
	require.NoError(t, s.err)
	require.Positive(t, told)
	require.Less(t, told, 20, "it learned")
}

// TestForgedPathMTU: "TCP [...] SHOULD [check] that the TCP sequence number contained in the payload of the ICMP error
// message is within the range SND.UNA =< SEG.SEQ < SND.NXT" RFC 5927 §4.1.
func TestForgedPathMTU(t *testing.T) {
	w := newWorld(t, config{seed: 2})
	a, b := w.pair()
	w.run(second)
	before := mss(t, w, b)
	w.inject(w.tooBig(12345, 576))
	require.Equal(t, before, mss(t, w, b))
	checkAlive(w, a, b)
}

func mss(t *testing.T, w *world, s *usock.Socket) uint32 {
	var out [4]byte
	const solTCP, maxSeg = 6, 2
	_, err := s.Option(w.now, solTCP, maxSeg, out[:])
	require.NoError(t, err)
	return binary.NativeEndian.Uint32(out[:])
}

// TestConnectFails: refused, and nobody there.
func TestConnectFails(t *testing.T) {
	w := newWorld(t, config{seed: 3})
	c := w.connect(1000)
	w.until(second, "the reset arrives", func() bool { return c.State() == tcp.Closed })
	require.Equal(t, uint32(usock.PollErr|usock.PollHup), c.Ready()&(usock.PollErr|usock.PollHup))
	require.ErrorIs(t, c.TakeError(), tcp.ErrRefused)

	w.host[0].nic.link.Loss = 1
	c = w.connect(1001)
	w.until(300*second, "it gives up", func() bool { return c.State() == tcp.Closed })
	require.ErrorIs(t, c.TakeError(), tcp.ErrTimeout)
	w.clean()
}

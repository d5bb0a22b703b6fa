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

const day = 24 * 3600 * second

// last is the segment that a host sent last.
func last(h *host) func() wire.TCP {
	var seg wire.TCP
	h.nic.tap = func(_ int64, frame []byte) { seg = wire.TCP(wire.IPv4(frame[wire.EthernetLen:]).Payload()) }
	return func() wire.TCP { return seg }
}

func tsval(s wire.TCP) uint32 {
	var o wire.TCPOptions
	o.Parse(s.Options())
	return o.TSVal
}

// TestFiftyDays: a connection with keep-alives and a request each hour lives through the wrap of its timestamps, which
// comes after 2^32 ms, just short of fifty days. Both ends' clocks start anywhere, so both wrap within the test.
func TestFiftyDays(t *testing.T) {
	w := newWorld(t, config{seed: 31, link: [2]Link{{Delay: 20 * ms}, {Delay: 20 * ms}}})
	w.watch = newWatcher(w)
	a, b := w.pair()
	seg := last(w.host[0])
	for _, s := range []*usock.Socket{a, b} {
		setInt(t, w, s, solTCP, tcpKeepIdle, 600)
		setInt(t, w, s, solSocket, soKeepAlive, 1)
	}
	echo(t, w, a, b)
	first, wrapped := tsval(seg()), false
	for end := w.now + 50*day; w.now < end; {
		w.run(3600 * second)
		echo(t, w, a, b)
		wrapped = wrapped || tsval(seg()) < first
	}
	require.True(t, wrapped)
	require.Equal(t, tcp.Established, a.State())
	require.Equal(t, tcp.Established, b.State())
	require.Zero(t, w.host[0].Host().SendStats().RetransSegs+w.host[1].Host().SendStats().RetransSegs)
	require.Greater(t, w.watch.packets, 2*50*24*6, "an idle hour has its keep-alives")
}

// TestThirtySilentDays: after 24 days TS.Recent says nothing any more (RFC 7323 §5.5); without keep-alives nothing at all
// is sent, and no timer runs.
func TestThirtySilentDays(t *testing.T) {
	w := newWorld(t, config{seed: 32, link: [2]Link{{Delay: 20 * ms}, {Delay: 20 * ms}}})
	a, b := w.pair()
	echo(t, w, a, b)
	w.run(second)
	require.Zero(t, w.host[0].NextDeadline())
	require.Zero(t, w.host[1].NextDeadline())
	sent := w.host[0].Counters().TxPackets
	w.run(30 * day) // more than 2^31 ms: now every timestamp looks older than TS.Recent
	require.Equal(t, sent, w.host[0].Counters().TxPackets)
	echo(t, w, a, b)
	echo(t, w, b, a)
	require.Zero(t, w.host[0].Host().MIB.PAWSEstab+w.host[1].Host().MIB.PAWSEstab)
}

// TestSequenceNumbersWrap: connections whose numbers pass 2^32 and 2^31 under way, with losses there. The initial number is a
// clock plus a hash of the flow (RFC 6528), so the test waits for the right time.
func TestSequenceNumbersWrap(t *testing.T) {
	for _, border := range []uint32{0, 1 << 31} {
		l := Link{Delay: ms, Loss: 0.02, Reorder: 0.02, Hold: 3 * ms}
		w := newWorld(t, config{seed: 33})
		seg := last(w.host[0])
		probe := w.connect(40000) // nobody listens yet: it is refused
		w.until(second, "refused", func() bool { return probe.State() == tcp.Closed })
		const tick, short = 64, 60_000
		wait := int64(border-short-seg().Seq()) * tick
		w.run(wait)
		w.watch = newWatcher(w)
		w.host[0].nic.link, w.host[1].nic.link = l, l
		a, b := w.pair()
		start := w.watch.half(0, a).iss
		require.InDelta(t, int64(int32(start-tcp.Seq(border))), -short, 30_000_000/tick, "just before the border")
		there, back := w.send(a, b, 1_000_000), w.send(b, a, 100_000)
		w.until(100*second, "all arrives", func() bool { return there.over() && back.over() })
		require.NoError(t, there.err)
		require.NoError(t, back.err)
		require.True(t, start.LT(tcp.Seq(border)) && w.watch.half(0, a).nxt.GT(tcp.Seq(border)), "it passed the border")
		a.Close(w.now)
		b.Close(w.now)
	}
}

func setInt(t *testing.T, w *world, s *usock.Socket, level, name int, v uint32) {
	t.Helper()
	require.NoError(t, s.SetOption(w.now, level, name, binary.NativeEndian.AppendUint32(nil, v)))
}

// echo sends a request one way and an answer back.
func echo(t *testing.T, w *world, a, b *usock.Socket) {
	t.Helper()
	var buf [100]byte
	for _, ends := range [][2]*usock.Socket{{a, b}, {b, a}} {
		_, err := ends[0].Send(w.now, [][]byte{buf[:]}, 0)
		require.NoError(t, err)
		w.until(10*second, "it arrives", func() bool { return ends[1].InQ() == len(buf) })
		n, _, err := ends[1].Recv(w.now, [][]byte{buf[:]}, 0)
		require.NoError(t, err)
		require.Len(t, buf, n)
	}
}

// TestPortIsUsedAgain: a client that connects from the same port again and again, while its last connection's other end is
// still in TIME-WAIT, gets through by a larger number or timestamp (RFC 6191), and old segments harm nothing.
func TestPortIsUsedAgain(t *testing.T) {
	l := Link{Delay: ms, Dup: 0.2, Reorder: 0.1, Hold: 50 * ms}
	w := newWorld(t, config{seed: 34, link: [2]Link{l, l}})
	ls, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 8)
	require.NoError(t, err)
	waits := 0
	for range 100 {
		waits += w.host[1].Host().Waits.Len()
		a := w.connect(40000)
		b := w.accept(ls)
		w.until(60*second, "connected", func() bool { return a.State() == tcp.Established })
		echo(t, w, a, b)
		b.Close(w.now) // the server closes first: TIME-WAIT is there
		w.until(60*second, "end of stream", func() bool { return a.Ready()&usock.PollRdHup != 0 })
		a.Close(w.now)
		w.until(60*second, "gone", func() bool { return w.host[0].Conns() == 0 && w.host[1].Conns() == 0 })
		w.run(w.rng.Int64N(100 * ms))
	}
	// Resets that answer stray duplicates end some TIME-WAITs early (RFC 1337), as in Linux.
	require.Greater(t, waits, 20)
	ls.Close(w.now)
	w.clean()
}

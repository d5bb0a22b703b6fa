package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// fastWorld is two stacks with Fast Open over a path that loses, repeats, holds back and damages packets.
func fastWorld(t *testing.T, seed uint64) (*world, *usock.Socket) {
	d := rand.New(rand.NewPCG(seed, 7))
	way := func() Link {
		return Link{Delay: int64(1+d.IntN(50)) * ms, Jitter: d.Int64N(5 * ms), Loss: d.Float64() * 0.1, Dup: d.Float64() * 0.05,
			Reorder: d.Float64() * 0.1, Hold: d.Int64N(60 * ms), Corrupt: d.Float64() * 0.02}
	}
	w := newWorld(t, config{seed: seed, link: [2]Link{way(), way()}, params: func(_ int, p *tcp.Params) {
		p.FastOpen = 3 | d.IntN(2)*0x204 // with cookies, or without
		p.Timestamps = d.IntN(2) == 0
	}})
	l, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 16)
	require.NoError(t, err)
	require.NoError(t, l.SetOption(w.now, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, []byte{byte(1 + d.IntN(8)), 0, 0, 0}))
	return w, l
}

// fastOpen makes one connection with as much of n bytes on the SYN as it takes, by sendto(2) or by a deferred connect(2).
func (w *world) fastOpen(port uint16, n int, deferred bool) *stream {
	a, b := w.host[0], w.host[1]
	s := &stream{w: w, salt: w.rng.Uint64(), total: n, chunk: 16 << 10, random: true, buf: make([]byte, 64<<10)}
	first := make([]byte, n)
	for i := range first {
		first[i] = s.at(i)
	}
	o := usock.NewPreset()
	local, remote := netip.AddrPortFrom(a.addr, port), netip.AddrPortFrom(b.addr, 80)
	var err error
	if !deferred {
		s.from, s.sent, err = a.ConnectFast(w.now, local, remote, o, [][]byte{first}, 0)
		require.NoError(w.t, err)
		return s
	}
	require.NoError(w.t, o.SetOption(a.Host().Params, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, []byte{1, 0, 0, 0}))
	s.from, err = a.ConnectWith(w.now, local, remote, o)
	require.NoError(w.t, err)
	if s.from.Conn().Deferred() {
		s.sent, err = s.from.Send(w.now, [][]byte{first}, 0)
		require.NoError(w.t, err)
	}
	return s
}

// acceptFrom accepts a client's connection. A SYN that comes a second time after its connection is over opens another one,
// which its client resets: "the data in the SYN could be replayed to an application in some rare circumstances" RFC 7413.
func (w *world) acceptFrom(l *usock.Socket, port uint16) *usock.Socket {
	for {
		s := w.accept(l)
		if s.Remote().Port() == port {
			return s
		}
		s.Abort(w.now)
	}
}

// Whatever happens to SYN, SYN-ACK and data, both streams arrive whole and once, both ends finish, and no frame is lost.
func TestFastOpenOverABadPath(t *testing.T) {
	taken := uint64(0)
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w, l := fastWorld(t, seed)
			for i := range 6 {
				there := w.fastOpen(uint16(40000+i), 1+w.rng.IntN(6000), w.rng.IntN(3) == 0)
				there.to = w.acceptFrom(l, uint16(40000+i))
				back := w.send(there.to, there.from, w.rng.IntN(30000))
				// shutdown(2) before the handshake is over would end the attempt, as in Linux.
				w.until(100*second, "the client is connected", func() bool { return there.from.State() != tcp.SynSent })
				w.apps = append(w.apps, there.turn)
				w.until(300*second, "both streams end", func() bool { return there.over() && back.over() })
				require.NoError(t, there.err)
				require.NoError(t, back.err)
				w.apps = w.apps[:0]
				there.from.Close(w.now)
				there.to.Close(w.now)
			}
			taken += w.host[1].Counters().TCP.TCPFastOpenPassive
			l.Close(w.now)
			w.clean()
		})
	}
	require.Greater(t, taken, uint64(120), "connections that the SYN alone opened, of 360")
}

package sim

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// TestManyConnections opens, uses and ends a thousand connections in every way a program can.
func TestManyConnections(t *testing.T) {
	l := Link{Delay: ms, Loss: 0.01}
	w := newWorld(t, config{seed: 8, link: [2]Link{l, l}})
	ls, err := w.host[1].Listen(w.now, netip.AddrPortFrom(netip.IPv6Unspecified(), 80), 128)
	require.NoError(t, err)
	served, opened, ended := 0, 0, 0
	var clients, servers []*usock.Socket
	buf := make([]byte, 2000)
	w.apps = append(w.apps, func() {
		for opened < 1000 && len(clients) < 50 {
			clients = append(clients, w.connect(uint16(10000+opened)))
			opened++
		}
		for {
			s, err := ls.Accept(w.now)
			if errors.Is(err, tcp.ErrAgain) {
				break
			}
			require.True(t, s.Local().Addr().Is4In6(), "an AF_INET6 listener's connections are AF_INET6")
			servers = append(servers, s)
		}
		servers = keep(servers, func(s *usock.Socket) bool { return !w.answer(s, buf, &served) })
		clients = keep(clients, func(c *usock.Socket) bool {
			if w.request(c, buf) {
				ended++
				return false
			}
			return true
		})
	})
	w.until(120*second, "all requests are served", func() bool { return ended == 1000 && len(servers) == 0 })
	require.GreaterOrEqual(t, served, 900)
	ls.Close(w.now)
	w.clean()
}

func keep(list []*usock.Socket, f func(*usock.Socket) bool) []*usock.Socket {
	n := 0
	for _, s := range list {
		if f(s) {
			list[n] = s
			n++
		}
	}
	return list[:n]
}

// answer serves one request and closes; true when the connection is over.
func (w *world) answer(s *usock.Socket, buf []byte, served *int) bool {
	if s.Ready()&(usock.PollIn|usock.PollErr|usock.PollHup) == 0 {
		return false
	}
	n, _, err := s.Recv(w.now, [][]byte{buf}, 0)
	if err == nil && n > 0 {
		*served++
		_, _ = s.Send(w.now, [][]byte{buf[:1000]}, 0)
	}
	s.Close(w.now)
	return true
}

// request sends one request, reads the answer, and ends the connection in one of three ways; true when it is over.
func (w *world) request(c *usock.Socket, buf []byte) bool {
	if c.Ready()&(usock.PollErr|usock.PollHup) != 0 {
		c.Close(w.now)
		return true
	}
	if c.Tag == -1 && c.Ready()&usock.PollOut != 0 {
		c.Tag = 0
		_, _ = c.Send(w.now, [][]byte{buf[:100]}, 0)
	}
	if c.Ready()&usock.PollIn == 0 {
		return false
	}
	_, _, _ = c.Recv(w.now, [][]byte{buf}, 0)
	if w.rng.IntN(3) == 0 {
		c.Abort(w.now)
	} else {
		c.Close(w.now)
	}
	return true
}

// TestReadersThatStop: many connections fill all frames with data nobody reads; one that is read must still work.
func TestReadersThatStop(t *testing.T) {
	l := Link{Delay: ms}
	w := newWorld(t, config{seed: 12, frames: 512, link: [2]Link{l, l}})
	ls, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 128)
	require.NoError(t, err)
	var stuck []*stream
	for port := range uint16(30) {
		c := w.connect(2000 + port)
		stuck = append(stuck, &stream{w: w, from: c, to: w.accept(ls), total: 1 << 20, chunk: 16 << 10, buf: make([]byte, 16<<10)})
	}
	w.apps = append(w.apps, func() {
		for _, s := range stuck {
			require.NoError(t, s.write())
		}
	})
	w.run(2 * second)
	back := w.send(stuck[7].to, stuck[7].from, 100_000)
	w.until(60*second, "data flows the other way", back.over)
	require.NoError(t, back.err)
	t.Logf("%d of %d frames hold unread data, %d payloads dropped", w.host[1].pool.Received(), w.host[1].pool.Len(), w.host[1].Counters().RxPayloadDrops)
}

// TestEdges: a sleeper in an edge-triggered epoll is woken for each arrival, and for room after a full buffer.
func TestEdges(t *testing.T) {
	w := newWorld(t, config{seed: 13, link: [2]Link{{Delay: ms}, {Delay: ms}}})
	a, b := w.pair()
	require.NotZero(t, a.EdgeOut(), "connected")
	for i := range 3 {
		before := b.EdgeIn()
		_, err := a.Send(w.now, [][]byte{{byte(i)}}, 0)
		require.NoError(t, err)
		w.until(second, "an edge for each arrival, read or not", func() bool { return b.EdgeIn() != before })
	}
	require.Zero(t, b.Ready()&usock.PollRdHup)
	big := make([]byte, 1<<20)
	for i := 0; a.Ready()&usock.PollOut != 0; i++ { // until the peer's window and our buffer are full
		require.Less(t, i, 1000)
		_, _ = a.Send(w.now, [][]byte{big}, 0)
		w.run(50 * ms)
	}
	before := a.EdgeOut()
	for b.InQ() > 0 {
		_, _, err := b.Recv(w.now, [][]byte{big}, 0)
		require.NoError(t, err)
		w.run(20 * ms)
	}
	require.NotEqual(t, before, a.EdgeOut())
	require.NotZero(t, a.Ready()&usock.PollOut)
}

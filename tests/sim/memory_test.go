package sim

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// idleBytes is what an established connection that does nothing may cost: socket, endpoint, connection, congestion
// control and its places in the tables.
const idleBytes = 1536

// TestIdleConnectionsAreSmall makes 25,000 connections by each congestion control, which are 50,000 ends, lets each carry a
// request and an answer, and weighs them.
func TestIdleConnectionsAreSmall(t *testing.T) {
	for _, control := range []string{"cubic", "reno", "bbr", "bbr3"} {
		t.Run(control, func(t *testing.T) { weighIdle(t, control) })
	}
}

func weighIdle(t *testing.T, control string) {
	const pairs = 25_000
	w := newWorld(t, config{seed: 9, link: [2]Link{{Delay: ms / 10}, {Delay: ms / 10}},
		params: func(_ int, p *tcp.Params) { p.MaxSYNBacklog, p.Congestion = 4096, control }})
	l, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 1000)
	require.NoError(t, err)
	all := make([]*usock.Socket, 0, 2*pairs)
	before := heapBytes()
	for i := 0; i < pairs; i += 100 {
		all = w.connectMany(all, l, 80, 10_000+i, 100)
	}
	each := float64(heapBytes()-before) / float64(len(all))
	t.Logf("%.0f bytes for each of %d idle connections", each, len(all))
	require.LessOrEqual(t, each, float64(idleBytes))
	var name [16]byte
	_, err = all[0].Option(w.now, unix.SOL_TCP, unix.TCP_CONGESTION, name[:])
	require.NoError(t, err)
	require.Equal(t, control, unix.ByteSliceToString(name[:]))
	for _, h := range w.host {
		require.Equal(t, h.pool.Len(), h.pool.Free()+len(h.nic.posted), "an idle connection holds no frame")
	}
	runtime.KeepAlive(all)
}

// connectMany makes n connections to a listener, each used once, and adds both their ends to all.
func (w *world) connectMany(all []*usock.Socket, l *usock.Socket, to uint16, from, n int) []*usock.Socket {
	a, b := w.host[0], w.host[1]
	first := len(all)
	for i := range n {
		c, err := a.Connect(w.now, netip.AddrPortFrom(a.addr, uint16(from+i)), netip.AddrPortFrom(b.addr, to))
		require.NoError(w.t, err)
		all = append(all, c)
	}
	w.until(10*second, "all are established", func() bool { return l.Listener().Waiting() == n })
	for range n {
		s, err := l.Accept(w.now)
		require.NoError(w.t, err)
		all = append(all, s)
	}
	var b1 [100]byte
	for k := range 2 { // clients write, then servers
		for _, s := range all[first+k*n:][:n] {
			_, err := s.Send(w.now, [][]byte{b1[:]}, 0)
			require.NoError(w.t, err)
		}
		w.run(10 * ms)
		for _, s := range all[first+(1-k)*n:][:n] {
			got, _, err := s.Recv(w.now, [][]byte{b1[:]}, 0)
			require.NoError(w.t, err)
			require.Equal(w.t, 100, got)
		}
	}
	w.run(300 * ms) // all acknowledged
	return all
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

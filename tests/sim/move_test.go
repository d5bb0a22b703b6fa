package sim

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// move takes a connection out of its stack and puts it back, as a hand-over to the kernel and a return do; nothing is
// said to the peer. The frames it held must come back in between.
func (w *world) move(h *host, s *usock.Socket) *usock.Socket {
	w.t.Helper()
	snap, err := s.Freeze(w.now)
	if errors.Is(err, tcp.ErrCannotMove) {
		return s
	}
	require.NoError(w.t, err)
	s.Forget(w.now)
	moved, err := h.Adopt(w.now, snap, s.V6())
	require.NoError(w.t, err)
	return moved
}

// TestMovesLoseNothing moves both ends of a connection again and again while data goes both ways.
func TestMovesLoseNothing(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := Link{Delay: 2 * ms, Loss: 0.01 * float64(seed%3), Reorder: 0.02, Hold: ms}
			w := newWorld(t, config{seed: seed, link: [2]Link{l, l}})
			a, b := w.pair()
			there, back := w.send(a, b, 1_000_000), w.send(b, a, 1_000_000)
			moves := 0
			next := w.now
			w.apps = append(w.apps, func() {
				if w.now < next || there.over() && back.over() {
					return
				}
				next = w.now + ms + w.rng.Int64N(8*ms)
				if w.rng.IntN(2) == 0 {
					a = w.move(w.host[0], a)
				} else {
					b = w.move(w.host[1], b)
				}
				there.from, there.to, back.from, back.to = a, b, b, a
				moves++
			})
			w.until(600*second, "both streams arrive", func() bool { return there.over() && back.over() })
			require.NoError(t, there.err)
			require.NoError(t, back.err)
			require.Greater(t, moves, 3)
			a.Close(w.now)
			b.Close(w.now)
			w.clean()
		})
	}
}

// TestThawGoesOn: a hand-over that the kernel refuses is undone.
func TestThawGoesOn(t *testing.T) {
	w := newWorld(t, config{seed: 4})
	a, b := w.pair()
	_, err := a.Freeze(w.now)
	require.NoError(t, err)
	_, err = b.Send(w.now, [][]byte{[]byte("while frozen")}, 0)
	require.NoError(t, err)
	w.run(500 * ms)
	require.Zero(t, a.InQ(), "a frozen connection takes nothing")
	a.Thaw(w.now)
	w.until(10*second, "it is sent again", func() bool { return a.InQ() == 12 })
	checkAlive(w, a, b)
}

// TestForgottenFlowIsNotReset: packets of a flow that is the kernel's now may still lie in our rings.
func TestForgottenFlowIsNotReset(t *testing.T) {
	w := newWorld(t, config{seed: 4})
	a, b := w.pair()
	w.run(second)
	_, err := b.Freeze(w.now)
	require.NoError(t, err)
	b.Forget(w.now)
	sent := w.host[1].Counters().TxPackets
	_, err = a.Send(w.now, [][]byte{[]byte("for the kernel")}, 0)
	require.NoError(t, err)
	w.run(second)
	require.Equal(t, sent, w.host[1].Counters().TxPackets)
	require.Equal(t, tcp.Established, a.State())
	require.Zero(t, w.host[1].Conns())
}

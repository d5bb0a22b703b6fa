package sim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// narrowed is a connection over links that drop packets above some size and say nothing.
func narrowed(t *testing.T, probing, narrow int) (*world, *stream, *stream) {
	l := Link{Delay: 5 * ms}
	w := newWorld(t, config{seed: 5, link: [2]Link{l, l}, params: func(_ int, p *tcp.Params) { p.MTUProbing = probing }})
	a, b := w.pair()
	for _, h := range w.host {
		h.nic.narrow = narrow
		h.nic.tooBig = func([]byte) { w.dropped++ }
	}
	return w, w.send(a, b, 400_000), w.send(b, a, 400_000)
}

// TestBlackHole: a router in the middle drops large packets silently. Without tcp_mtu_probing nothing ever arrives; with 1
// the connection finds out by its timeouts, with 2 it never sends what it does not know to pass.
func TestBlackHole(t *testing.T) {
	w, there, _ := narrowed(t, 0, 1300)
	w.run(60 * second)
	require.Zero(t, there.got)
	for _, narrow := range []int{1300, 1100, 600} {
		for _, probing := range []int{1, 2} {
			t.Run(fmt.Sprintf("mtu_probing=%d,mtu=%d", probing, narrow), func(t *testing.T) {
				w, there, back := narrowed(t, probing, narrow)
				start := w.now
				w.until(60*second, "all arrives", func() bool { return there.over() && back.over() })
				require.NoError(t, there.err)
				require.NoError(t, back.err)
				most := narrow - 40 - 12
				require.InDelta(t, most-most/40, mss(t, w, there.from), float64(most/20), "and nearly all of the MTU is used")
				if probing == 2 && narrow > 1024 {
					require.Less(t, w.now-start, 2*second, "no timeout")
				}
			})
		}
	}
}

// TestProbingCostsNothingOnAGoodPath: the search goes up to the MTU while data flows.
func TestProbingCostsNothingOnAGoodPath(t *testing.T) {
	w, there, back := narrowed(t, 2, 0)
	start := w.now
	w.until(10*second, "all arrives", func() bool { return there.over() && back.over() })
	require.NoError(t, there.err)
	require.Less(t, w.now-start, second)
	require.InDelta(t, 1448, mss(t, w, there.from), 16)
	require.Zero(t, w.host[0].Host().SendStats().RetransSegs)
}

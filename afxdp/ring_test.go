package afxdp

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair is a ring with both of its ends in this process.
func pair(size int, start uint32) (producer[uint64], consumer[uint64]) {
	var prod, cons, flags atomic.Uint32
	prod.Store(start)
	cons.Store(start)
	entries := make([]uint64, size)
	return producer[uint64]{shared: &prod, peer: &cons, flags: &flags, entries: entries, head: start, tail: start},
		consumer[uint64]{shared: &cons, peer: &prod, entries: entries, head: start, tail: start}
}

func TestRingFullAndEmpty(t *testing.T) {
	p, c := pair(4, 0)
	require.EqualValues(t, 0, c.ready(1), "a new ring is empty")
	require.EqualValues(t, 4, p.room(9), "and has room for its size")
	for i := range uint64(4) {
		p.push(i)
	}
	require.EqualValues(t, 0, c.ready(1), "what is not published is not there")
	p.publish()
	require.EqualValues(t, 0, p.room(1), "full")
	require.False(t, p.idle())
	require.EqualValues(t, 2, c.ready(2))
	require.EqualValues(t, 0, c.pop())
	require.EqualValues(t, 1, c.pop())
	require.EqualValues(t, 0, p.room(1), "what is not released is not free")
	c.release()
	require.EqualValues(t, 2, p.room(3))
	require.EqualValues(t, 2, c.ready(3))
	c.pop()
	c.pop()
	c.release()
	require.True(t, p.idle())
}

// The indices pass 2^32 without anybody noticing.
func TestRingWraps(t *testing.T) {
	const size = 8
	p, c := pair(size, ^uint32(0)-20)
	rng := rand.New(rand.NewPCG(1, 2))
	var in, out uint64
	for range 1000 {
		for n := p.room(rng.Uint32N(size + 2)); n > 0; n-- {
			p.push(in)
			in++
		}
		p.publish()
		for n := c.ready(rng.Uint32N(size + 2)); n > 0; n-- {
			require.Equal(t, out, c.pop())
			out++
		}
		c.release()
		require.LessOrEqual(t, in-out, uint64(size))
	}
	require.Greater(t, in, uint64(1000))
}

// Two threads, each at its own end: for the race detector, and for order.
func TestRingBetweenThreads(t *testing.T) {
	const total = 20000
	p, c := pair(64, 0)
	go func() {
		for i := uint64(0); i < total; {
			n := p.room(7)
			for ; n > 0 && i < total; n-- {
				p.push(i)
				i++
			}
			p.publish()
			runtime.Gosched() // for a machine with one processor
		}
	}()
	for want := uint64(0); want < total; {
		for n := c.ready(5); n > 0; n-- {
			if got := c.pop(); got != want {
				t.Fatalf("got %d, want %d", got, want)
			}
			want++
		}
		c.release()
		runtime.Gosched()
	}
}

func TestHostileLayoutIsRefused(t *testing.T) {
	good := Ring{Entries: 64, Producer: 0, Consumer: 64, Flags: 192, Desc: 256}
	for name, spoil := range map[string]func(*Ring){
		"no entries":        func(r *Ring) { r.Entries = 0 },
		"no power of two":   func(r *Ring) { r.Entries = 63 },
		"huge":              func(r *Ring) { r.Entries = 1 << 31 },
		"index beyond":      func(r *Ring) { r.Producer = 4096 },
		"index far beyond":  func(r *Ring) { r.Consumer = 1<<64 - 4 },
		"entries far":       func(r *Ring) { r.Desc = 1 << 40 },
		"entries first":     func(r *Ring) { r.Desc = 0 },
		"unaligned index":   func(r *Ring) { r.Flags = 191 },
		"unaligned entries": func(r *Ring) { r.Desc = 257 },
	} {
		bad := good
		spoil(&bad)
		_, err := mapRing[uint64](-1, 0, bad)
		require.ErrorContains(t, err, "ring", name)
	}
}

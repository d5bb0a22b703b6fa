package micro

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/sluice-net/sluice/ustack/usock"
)

// Sizes of a request and its response, as of a small page.
const (
	requestLen  = 100
	responseLen = 600
	bulkLen     = 1 << 20
)

// BenchmarkHandshake is connect, the three segments, accept; and a reset from each end, so that nothing is left.
func BenchmarkHandshake(b *testing.B) {
	p := newPair(b)
	b.ReportAllocs()
	for b.Loop() {
		c, s := p.open(b)
		c.Abort(now())
		p.until(b, func() bool { return s.Ready()&usock.PollHup != 0 })
		s.Abort(now())
	}
}

// talk is one connection with buffers for both ends.
type talk struct {
	p       *pair
	c, s    *usock.Socket
	out, in [][]byte
}

func newTalk(t testing.TB) *talk {
	p := newPair(t)
	c, s := p.open(t)
	return &talk{p: p, c: c, s: s, out: [][]byte{make([]byte, bulkLen)}, in: [][]byte{make([]byte, 64<<10)}}
}

func (k *talk) request(t testing.TB) {
	k.p.move(t, k.c, k.s, k.out, k.in, requestLen)
	k.p.move(t, k.s, k.c, k.out, k.in, responseLen)
}

// BenchmarkRequest is a request and its response, from send to recv at both ends.
func BenchmarkRequest(b *testing.B) {
	k := newTalk(b)
	b.ReportAllocs()
	for b.Loop() {
		k.request(b)
	}
}

// BenchmarkTransfer is a megabyte from one program to the other.
func BenchmarkTransfer(b *testing.B) {
	k := newTalk(b)
	k.p.move(b, k.c, k.s, k.out, k.in, bulkLen) // windows and buffers grow
	b.SetBytes(bulkLen)
	b.ReportAllocs()
	for b.Loop() {
		k.p.move(b, k.c, k.s, k.out, k.in, bulkLen)
	}
}

// BenchmarkStacks is as many pairs of stacks as the name says, each in a goroutine of its own: they share nothing, so the
// time of a processor for a request should stay what it is with one, but for the caches.
func BenchmarkStacks(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			talks := make([]*talk, n)
			for i := range talks {
				talks[i] = newTalk(b)
			}
			b.ResetTimer()
			var wg sync.WaitGroup
			for _, k := range talks {
				wg.Go(func() {
					for range b.N {
						k.request(b)
					}
				})
			}
			wg.Wait()
			workers := min(n, runtime.GOMAXPROCS(0))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())*float64(workers)/float64(n*b.N), "ns/request/cpu")
			b.ReportMetric(0, "ns/op") // of n requests at once: no figure to compare
		})
	}
}

package ustack

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkTouch is what BenchmarkCrowd is to be held against: a loop that does nothing but read and write 30 cache lines, 20 of one piece of memory after the
// other and 10 of a frame of its own, as many as a request touches. A program lies between the two ways to do it: all lines at once, as a processor can that knows the addresses, and
// each when the one before has come. What 1,000 pieces of 1,000 take more than 10 is the caches, 1,000 of 100,000 more than that the TLB.
func BenchmarkTouch(b *testing.B) {
	for _, c := range []struct {
		pieces, active int
		huge           bool
	}{{10, 10, false}, {1000, 1000, false}, {100_000, 10, false}, {100_000, 1000, false}, {100_000, 1000, true}} {
		for _, chained := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d of %d, huge pages %v, chained %v", c.active, c.pieces, c.huge, chained), func(b *testing.B) {
				newTouch(b, c.pieces, c.active, c.huge).run(b, chained)
			})
		}
	}
}

const (
	touchSize  = 1536 // of a piece
	touchLine  = 64
	touchLines = 20
	frameLines = 10
)

// touch is memory of which some is active. The first byte of each line says which is next.
type touch struct {
	mem, frames []byte
	at          []int
}

func newTouch(b *testing.B, pieces, active int, huge bool) *touch {
	mem, err := unix.Mmap(-1, 0, pieces*touchSize+active*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Munmap(mem) })
	advice := unix.MADV_NOHUGEPAGE
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	if err := unix.Madvise(mem, advice); err != nil {
		b.Skip("no huge pages: ", err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	t := &touch{mem: mem[:pieces*touchSize], frames: mem[pieces*touchSize:], at: rng.Perm(pieces)[:active]}
	for i := range pieces {
		link(rng, t.mem[i*touchSize:], touchLines)
	}
	for i := range active {
		link(rng, t.frames[i*4096:], frameLines)
	}
	return t
}

// link puts the lines into an order by chance.
func link(rng *rand.Rand, p []byte, lines int) {
	order := rng.Perm(lines)
	for i, l := range order {
		p[l*touchLine] = byte(order[(i+1)%lines])
	}
}

func (t *touch) run(b *testing.B, chained bool) {
	i, n := 0, 10*len(t.at)
	one := func() {
		p, f := t.mem[t.at[i]*touchSize:][:touchSize], t.frames[i*4096:][:4096]
		if chained {
			chase(p, touchLines)
			chase(f, frameLines)
		} else {
			sweep(p, touchLines)
			sweep(f, frameLines)
		}
		if i++; i == len(t.at) {
			i = 0
		}
	}
	for range n {
		one()
	}
	for b.Loop() {
		one()
	}
}

func chase(p []byte, lines int) {
	for l := 0; lines > 0; lines-- {
		p[l*touchLine+1]++
		l = int(p[l*touchLine])
	}
}

func sweep(p []byte, lines int) {
	for l := range lines {
		p[l*touchLine+1]++
	}
}

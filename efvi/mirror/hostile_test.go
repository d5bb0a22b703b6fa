package mirror

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestAWriterThatScribbles: a program that writes into the memory while it is read makes the reader err or show nonsense, within bounds, and no more.
func TestAWriterThatScribbles(t *testing.T) {
	w, r := ring(t, 1<<12, 1500)
	words := unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(&w.data[0])), len(w.data)/4)
	over := make(chan struct{})
	var scribbler sync.WaitGroup
	scribbler.Go(func() {
		dice := rand.New(rand.NewPCG(1, 2))
		sizes := [...]uint32{0, 8, 32, 40, 48, 1 << 10, 1 << 12, 1 << 31, ^uint32(0)}
		for {
			select {
			case <-over:
				return
			default:
			}
			for range 64 {
				words[dice.IntN(len(words))].Store(sizes[dice.IntN(len(sizes))])
			}
			w.h.head.Store(r.h.tail.Load() + uint64(dice.IntN(len(w.data)+64))&^7)
		}
	})
	shown, refused := 0, 0
	var p Packet
	for end := time.Now().Add(15 * time.Second); (shown < 100 || refused < 100) && time.Now().Before(end); {
		switch ok, err := r.Next(&p); {
		case err != nil:
			refused++
		case ok:
			shown++
			require.LessOrEqual(t, len(p.Data), len(w.data))
		}
	}
	close(over)
	scribbler.Wait()
	require.Positive(t, shown)
	require.Positive(t, refused)
}

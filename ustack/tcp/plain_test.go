package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What may be read without the connection's knowing owes the peer nothing: neither an ACK that reading lets go nor a wider window.
func TestWhatIsReadUnseenOwesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	unseen, acked := 0, 0
	for range 20 {
		r := established(t, withTS)
		r.interactive()
		seq, written := 1, 1
		for range 100 {
			flags, n := ".", 1+rnd.IntN(1448)
			if rnd.IntN(2) == 0 {
				flags = "P."
			}
			if n > r.c.offered() {
				break
			}
			ms := (r.now-1e12)/int64(time.Millisecond) + 1
			r.send(fmt.Sprintf("%s %d:%d(%d) ack %d <ts %d %d>", flags, seq, seq+n, n, written, 100+ms, ms))
			var p Plain
			require.True(t, r.c.Plain(&p))
			r.out = nil
			r.read(seq, n)
			switch {
			case p.Queued != nil:
				require.Empty(t, r.out, "%s %d octets, read unseen", flags, n)
				unseen++
			case len(r.out) > 0:
				acked++
			}
			seq += n
			if rnd.IntN(2) == 0 {
				r.write(50)
				written += 50
			}
			r.out = nil
			r.advance(time.Duration(rnd.IntN(30)) * time.Millisecond)
		}
	}
	require.Greater(t, unseen, 100)
	require.Greater(t, acked, 100)
}

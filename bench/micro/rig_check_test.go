package micro

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/usock"
)

// What the benchmarks do is what they say: bytes come whole, segments are answered, connections end.
func TestTheWorkIsDone(t *testing.T) {
	k := newTalk(t)
	for i := range k.out[0] {
		k.out[0][i] = byte(i)
	}
	k.in[0] = make([]byte, bulkLen)
	k.p.move(t, k.c, k.s, k.out, k.in, 1000)
	require.Equal(t, k.out[0][:1000], k.in[0][:1000])
	k.request(t)
	k.p.move(t, k.c, k.s, k.out, k.in, bulkLen)
	k.c.Abort(now())
	k.p.until(t, func() bool { return k.s.Ready()&usock.PollHup != 0 })

	r := testing.Benchmark(BenchmarkSegment)
	require.NotZero(t, r.N)
	require.GreaterOrEqual(t, r.Extra["acks/op"], 0.4, "an ACK for two segments at least (RFC 1122 §4.2.3.2)")
	require.LessOrEqual(t, r.Extra["acks/op"], 1.0)
}

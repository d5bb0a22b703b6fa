package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/mirror"
)

// BenchmarkLook is a ping-pong of one byte between the engine and a stack, all in memory, in blocks that take turns: nobody looks at the packets
// (twice, which tells how far apart two equal things are), somebody looked and left, somebody looks. Its figures are medians of the blocks,
// in relation to the first. Each block of an op is 1,000 round trips.
func BenchmarkLook(b *testing.B) {
	r := newPairRig(b)
	peer, h := r.connect(5000)
	s := r.e.tab.at(h).sock
	bare := r.vi
	fd, err := mirror.New(proto.DefaultRing, 1<<16)
	require.NoError(b, err)
	w, err := mirror.OpenWriter(fd)
	require.NoError(b, err)
	defer w.Close()
	reader, err := mirror.OpenReader(fd)
	require.NoError(b, err)
	defer reader.Close()
	unix.Close(fd)
	swap := func(vi efvi.VI) { r.e.plane.stack.SwapVI(1, 0, vi) }
	look := func() { swap(mirror.Wrap(bare, r.mem, []*mirror.Writer{w}, wallclock)) }
	leave := func() { swap(bare) }
	one := [][]byte{make([]byte, 1)}
	trips := func() int64 {
		began := time.Now()
		for range 1000 {
			peer.Send(nanotime(), one, 0)
			r.e.plane.stack.Poll(nanotime(), 64)
			s.Recv(nanotime(), one, 0)
			s.Send(nanotime(), one, 0)
			r.peer.Poll(nanotime(), 64)
			peer.Recv(nanotime(), one, 0)
		}
		took := int64(time.Since(began))
		for ok := true; ok; { // not part of it: another process does that
			var p mirror.Packet
			ok, err = reader.Next(&p)
			require.NoError(b, err)
		}
		return took
	}
	ways := []struct {
		name string
		do   func()
		took []int64
	}{{name: "nobody", do: leave}, {name: "nobody-again", do: leave}, {name: "left", do: func() { look(); leave() }}, {name: "looks", do: look}}
	for n := 0; b.Loop(); n++ {
		for i := range ways {
			x := &ways[(n+i)%len(ways)]
			x.do()
			x.took = append(x.took, trips())
		}
	}
	for i := range ways {
		slices.Sort(ways[i].took)
		mid := func(k int) float64 { return float64(ways[k].took[len(ways[k].took)/2]) }
		if i == 0 {
			b.ReportMetric(mid(0)/1000, "ns/trip")
		} else {
			b.ReportMetric(mid(i)/mid(0), ways[i].name+"/nobody")
		}
	}
}

package tcp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

func (r *txRec) all() (out []byte) {
	for at := 0; at < int(r.n); {
		p := r.piece(at)
		out = append(out, p...)
		at += len(p)
	}
	return out
}

// bytesOf is the payload of n bytes that begins at off of a frame.
func bytesOf(b *pbuf.Buf, off, n int) []byte {
	r := txRec{buf: b, off: uint16(off), n: uint16(n)}
	return r.all()
}

// soundSums looks at the sums that frames of a record tell.
func (r *txRec) soundSums(t *testing.T) {
	b, left, off := r.buf, int(r.n), int(r.off)
	for left > 0 {
		end := min(off+left, frameEnd)
		if int(b.SumEnd) == end && int(b.Start) == off {
			require.Equal(t, wire.Sum(b.Frame()[off:end]), b.Sum)
		}
		left -= end - off
		b, off = b.Next, pbuf.Headroom
	}
}

// TestPayloadInSeveralFrames: records are filled, cut, acknowledged in part and joined; their bytes stay what they were, and all frames come
// back. Now and then no frame is left.
func TestPayloadInSeveralFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for range 3000 {
		pool := pbuf.New(make([]byte, (2+rng.IntN(10))*4096), 4096)
		pool.LeaveSums(rng.IntN(2) == 0)
		s := &sender{mem: NewSendMem(pool), p: DefaultParams()}
		data := make([]byte, maxPayload)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		r := s.newRec()
		limit := 1 + rng.IntN(maxPayload)
		for n := 1; n > 0; {
			n = s.mem.fill(r, data[r.n:min(len(data), int(r.n)+1+rng.IntN(5000))], limit)
		}
		s.q.push(r)
		data = data[:r.n]
		for range rng.IntN(6) {
			recs := []*txRec{}
			for x := s.q.head; x != nil; x = x.next {
				if x.n > 1 {
					recs = append(recs, x)
				}
			}
			if len(recs) == 0 {
				break
			}
			switch x := recs[rng.IntN(len(recs))]; rng.IntN(4) {
			case 0, 1:
				s.split(x, 1+rng.IntN(int(x.n)-1))
			case 2:
				if x = s.q.head; x.n > 1 {
					n := 1 + rng.IntN(int(x.n)-1)
					x.skip(n)
					data = data[n:]
				}
			case 3:
				s.q.unsent = s.q.head
				s.merge(min(int(s.q.head.n)+rng.IntN(3000), maxPayload))
			}
		}
		var have []byte
		for x := s.q.head; x != nil; x = x.next {
			x.soundSums(t)
			have = append(have, x.all()...)
		}
		require.True(t, bytes.Equal(data, have))
		s.q.drop(s.mem)
		require.Equal(t, pool.Len(), pool.Free())
	}
}

// TestLastOctetOfSeveralFrames: a record whose payload is acknowledged, but not its FIN, keeps one frame and points into it.
func TestLastOctetOfSeveralFrames(t *testing.T) {
	pool := pbuf.New(make([]byte, 8*4096), 4096)
	s := &sender{mem: NewSendMem(pool), p: DefaultParams()}
	for _, n := range []int{1, onePayload, onePayload + 1, 2 * onePayload, maxPayload} {
		r := s.newRec()
		require.Equal(t, n, s.mem.fill(r, make([]byte, n), maxPayload))
		r.skip(n)
		require.LessOrEqual(t, int(r.off), frameEnd)
		require.Equal(t, 1, r.frames())
		s.mem.recycle(r)
		require.Equal(t, pool.Len(), pool.Free())
	}
}

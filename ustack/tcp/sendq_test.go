package tcp

import (
	"bytes"
	"testing"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
	"github.com/stretchr/testify/require"
)

func TestWritesShareAFrame(t *testing.T) {
	r := newSendRig(t, 1000)
	free := r.mem.Pool.Free()
	for range 100 {
		require.Equal(t, 7, r.write(7))
	}
	require.Equal(t, free-1, r.mem.Pool.Free())
	r.sent(1, 700)
	r.ack(701)
	require.Equal(t, free, r.mem.Pool.Free())
}

// Bytes that do not begin at an even place are summed as well: the model test compares; here is one by hand.
func TestSumOfOddPieces(t *testing.T) {
	r := newSendRig(t, 1000)
	for _, p := range []string{"a", "bc", "d", "e"} {
		r.s.write(r.now, []byte(p), 0)
	}
	b := r.s.q.tail.buf
	require.Equal(t, "abcde", string(b.Bytes()))
	require.EqualValues(t, 'a'<<8+'b'+'c'<<8+'d'+'e'<<8-0xffff, b.Sum)
	require.Equal(t, b.End, b.SumEnd)
}

func TestPartialAckCutsTheHead(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	require.Equal(t, 300, r.ack(301).acked)
	r.now = r.s.deadline()
	r.s.onTimer(r.now)
	r.sent(301, 700)
}

// The send buffer: a little for a start, two windows once there is one, never beyond tcp_wmem[2].
func TestSendBufferGrows(t *testing.T) {
	r := newSendRig(t, 1448)
	require.Equal(t, 87040, r.s.buf.size, "as a fresh Linux connection: 2 * 10 segments of 4352")
	n := r.write(1 << 20)
	require.Less(t, n, 1<<20)
	require.GreaterOrEqual(t, n, 60000)
	require.False(t, r.s.writable())
	r.s.cwnd = 1000
	r.flush()
	o := r.ack(n + 1)
	require.True(t, o.space)
	require.Equal(t, 4194304, r.s.buf.size)
	require.True(t, r.s.writable())
	require.False(t, r.ack(n+1).space, "told once")
}

func TestWhatWaitsStaysNear(t *testing.T) {
	r := newSendRig(t, 1448)
	r.s.buf.size, r.s.maxWnd = 4<<20, 64<<10
	n := r.write(1 << 20)
	require.InDelta(t, nearMost, n, 64<<10, "a packet of the queue may exceed the limit")
	require.False(t, r.s.writable())
	r.s.cwnd = 10_000
	require.True(t, r.s.writable(), "a window may wait")
	r.s.cwnd = 10
	r.s.buf.set(2<<20, 4<<20)
	require.True(t, r.s.writable(), "who sets SO_SNDBUF wants that much")
}

func TestSOSndbufFixesTheSize(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.buf.set(1, 1<<20)
	require.Equal(t, minSendBuffer, r.s.buf.size)
	r.s.buf.set(10000, 1<<20)
	require.Equal(t, 20000, r.s.buf.size)
	r.s.expandBuffer()
	require.Equal(t, 20000, r.s.buf.size)
}

func TestNotsentLowat(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.buf.lowat = 3000
	r.s.maxWnd = 20000
	require.Equal(t, 10000, r.write(50000), "unsent data is bounded when a packet of half the window is full, as in Linux")
	require.False(t, r.s.writable())
	r.flush()
	require.True(t, r.s.writable())
}

// Without frames a write takes nothing, and the program is told when there are some again.
func TestFrameShortage(t *testing.T) {
	r := newSendRig(t, 1000)
	var held []*pbuf.Buf
	for b := r.mem.Pool.Get(); b != nil; b = r.mem.Pool.Get() {
		held = append(held, b)
	}
	require.Zero(t, r.write(10))
	require.False(t, r.s.writable())
	d := r.s.deadline()
	require.NotZero(t, d)
	require.False(t, r.s.onTimer(d).space)
	d2 := r.s.deadline()
	require.Greater(t, d2, d)
	held[0].Release()
	require.True(t, r.s.onTimer(d2).space)
	require.Zero(t, r.s.deadline())
	require.Equal(t, 10, r.write(10))
}

// A smaller MSS cuts what is queued and what was sent.
func TestSmallerMSS(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(3000)
	r.s.cwnd = 2
	r.sent(1, 1000, 1001, 1000)
	require.False(t, r.s.onTooBig(r.now, r.seq(5001), 400), "quotes what was never sent: RFC 5927 §4.1")
	require.True(t, r.s.onTooBig(r.now, r.seq(1), 400))
	r.s.cwnd = 10
	r.sent(1, 400, 401, 400, 801, 200, 1001, 400, 1401, 400, 1801, 200, 2001, 400, 2401, 400, 2801, 200)
	require.EqualValues(t, 10, r.s.cwnd, "not congestion")
}

// When all frames hold what is queued, and all of it is too long for the path, the pieces share a frame: nobody else would
// ever give one back.
func TestSmallerMSSWithoutFrames(t *testing.T) {
	r := newSendRig(t, 1000, func(r *sendRig) { r.mem = NewSendMem(pbuf.New(make([]byte, 64*4096), 4096)) })
	data := make([]byte, 8000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	require.Equal(t, len(data), r.s.write(r.now, data, 0))
	for r.mem.Pool.Get() != nil { // others have the rest
	}
	r.s.setNoDelay(true)
	r.s.setMSS(r.now, 400)
	r.cwnd(100)
	at := 0
	for s, ok := r.s.next(r.now); ok; s, ok = r.s.next(r.now) {
		require.LessOrEqual(t, s.n, 400)
		got := bytesOf(s.buf, s.off, s.n)
		require.Equal(t, data[at:at+s.n], got)
		require.True(t, s.buf.SumEnd == 0 || s.buf.Sum == wire.Sum(got))
		r.s.sent(r.now, &s)
		at += s.n
	}
	require.Equal(t, len(data), at)
	r.check()
	r.after(10 * ms)
	r.ack(4201) // in the middle of a frame that is shared
	require.Equal(t, 4, r.mem.Pool.Free())
	r.ack(8001)
	require.Equal(t, 8, r.mem.Pool.Free())
}

func TestSnapshotGoesOnElsewhere(t *testing.T) {
	for _, fin := range []int{0, 1, 2} { // none, queued, sent
		r := newSendRig(t, 1000)
		want := make([]byte, 5500)
		for i := range want {
			want[i] = patternByte(i)
		}
		if fin == 2 {
			r.s.cwnd = 100
		} else {
			r.s.cwnd = 3
		}
		r.s.write(r.now, want, 0)
		if fin > 0 {
			r.s.queueFIN(r.now)
		}
		r.flush()
		r.ack(501)
		st := r.s.snapshot()
		require.Equal(t, fin == 2, st.FINSent)
		require.True(t, bytes.Equal(want[500:], st.Data))
		free := r.mem.Pool.Len()
		r.s.drop()
		require.Equal(t, free, r.mem.Pool.Free())

		n := newSendRig(t, 700)
		n.s.init(n.now, n.p, n.mem, st.ISS, 700)
		n.s.sackOK = true
		n.s.setNoDelay(true)
		require.True(t, n.s.restore(n.now, &st))
		require.Equal(t, r.s.iss, n.s.iss)
		require.Equal(t, [3]Seq{st.Una, st.Nxt, st.End}, [3]Seq{n.s.una, n.s.nxt, n.s.end})
		n.check()
		require.True(t, bytes.Equal(want[500:], n.s.snapshot().Data))
		n.s.cwnd = 100
		n.flush()
		o := n.ack(n.rel(st.End))
		require.Equal(t, fin > 0, o.finAcked)
		require.Equal(t, 5000, o.acked)
	}
}

// Sending and acknowledging at steady state costs no allocation.
func TestSendAckDoesNotAllocate(t *testing.T) {
	r := newSendRig(t, 1000)
	b := make([]byte, 3000)
	at := 1
	in := ackIn{wnd: 1 << 20}
	require.Zero(t, testing.AllocsPerRun(500, func() {
		r.s.write(r.now, b, 0)
		for s, ok := r.s.next(r.now); ok; s, ok = r.s.next(r.now) {
			r.s.sent(r.now, &s)
		}
		at += 3000
		r.now += ms
		in.ack = r.seq(at)
		r.s.onAck(r.now, &in)
		r.s.deadline()
	}))
}

// BenchmarkSendAck is the cost of one full segment: write, next, sent and its share of an ACK for two.
func BenchmarkSendAck(b *testing.B) {
	r := newSendRig(b, 1448)
	data := make([]byte, 1448)
	in := ackIn{wnd: 1 << 20}
	for i := range b.N {
		r.s.write(r.now, data, 0)
		s, ok := r.s.next(r.now)
		if !ok {
			b.Fatal("held")
		}
		r.s.sent(r.now, &s)
		if i&1 == 1 {
			r.now += 1000
			in.ack = r.s.nxt
			r.s.onAck(r.now, &in)
		}
	}
}

// BenchmarkHostileSACK is the worst a peer can ask for: blocks at random places of a full 4 MiB window.
func BenchmarkHostileSACK(b *testing.B) {
	r := newSendRig(b, 1448)
	r.s.wnd, r.s.maxWnd, r.s.cwnd = 4<<20, 4<<20, 10000
	r.s.buf.size = 4 << 20
	r.write(4 << 20)
	r.flush()
	top := r.rel(r.s.nxt)
	in := ackIn{wnd: 4 << 20, ack: r.s.una}
	x := uint32(1)
	for range b.N {
		x = x*1664525 + 1013904223
		at := 2 + int(x>>8)%(top-3000)
		in.sack = in.sack[:0]
		for k := range 4 {
			lo := (at+k*777777)%(top-3000) + 1
			in.sack = append(in.sack, sackOf(r, lo, lo+1))
		}
		r.s.onAck(r.now, &in)
	}
}

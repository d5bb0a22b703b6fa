package tcp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
	"github.com/stretchr/testify/require"
)

// The model: a sender over a link that loses, reorders and duplicates, to the simplest receiver there can be.

type modelEvent struct {
	at  int64
	seq int // ties keep their order
	do  func()
}

type modelQueue []modelEvent

func (q modelQueue) Len() int { return len(q) }
func (q modelQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q modelQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *modelQueue) Push(x any)   { *q = append(*q, x.(modelEvent)) }
func (q *modelQueue) Pop() any {
	o := *q
	e := o[len(o)-1]
	*q = o[:len(o)-1]
	return e
}

// modelReceiver keeps a bit for each byte: naive on purpose.
type modelReceiver struct {
	got    []bool
	next   int
	fin    int // offset of the FIN, -1 unknown
	recent [][2]int
	window int
	tsval  uint32 // TS.Recent
}

type model struct {
	t     testing.TB
	rng   *rand.Rand
	now   int64
	seq   int
	queue modelQueue
	s     sender
	r     modelReceiver
	mem   *SendMem

	total, written   int
	loss, dup, reord float64
	delay, jitter    int64
	shrink           bool
	edge             int // highest number the receiver ever allowed
}

func patternByte(i int) byte { return byte(i*31 + i>>8) }

func (m *model) at(d int64, f func()) {
	m.seq++
	heap.Push(&m.queue, modelEvent{m.now + d, m.seq, f})
}

// check looks at everything now and then: it costs a walk.
func (m *model) check() {
	if m.rng.IntN(8) == 0 || m.s.sb.out < 8 {
		checkSender(m.t, &m.s)
	}
}

// carry sends one thing over the link.
func (m *model) carry(f func()) {
	n := 1
	if m.rng.Float64() < m.dup {
		n = 2
	}
	for range n {
		if m.rng.Float64() < m.loss {
			continue
		}
		d := m.delay
		if m.rng.Float64() < m.reord {
			d += m.rng.Int64N(m.jitter)
		}
		m.at(d, f)
	}
}

func (m *model) off(s Seq) int { return s.Sub(m.s.iss) - 1 }

// pump writes and sends what it can.
func (m *model) pump() {
	if n := min(m.total-m.written, 1+m.rng.IntN(20000)); n > 0 {
		b := make([]byte, n)
		for i := range b {
			b[i] = patternByte(m.written + i)
		}
		m.written += m.s.write(m.now, b, 0)
		if m.written == m.total {
			m.s.queueFIN(m.now)
		}
	}
	for {
		t, ok := m.s.next(m.now)
		if !ok {
			break
		}
		if m.rng.IntN(50) == 0 { // the ring is full: whoever owns it comes back
			m.at(ms, m.pump)
			break
		}
		m.transmit(&t)
		m.s.sent(m.now, &t)
		m.check()
	}
}

func (m *model) transmit(t *txSeg) {
	o := m.off(t.seq)
	if !t.probe && !(t.rexmit && t.rec == m.s.q.head) {
		require.LessOrEqual(m.t, m.off(t.end()), m.edge, "nothing beyond the window")
	}
	var data []byte
	if t.buf != nil {
		require.False(m.t, t.buf.InFlight && t.off == int(t.buf.Start), "what is not at the frame's start is copied")
		data = bytesOf(t.buf, t.off, t.n)
	}
	if t.buf != nil && t.buf.SumEnd == uint16(t.off+t.n) && t.buf.Start == uint16(t.off) {
		require.Equal(m.t, wire.Sum(data), t.buf.Sum, "the sum kept beside the payload")
	}
	fin, ts := t.fin, m.s.tsNow(m.now)
	if t.buf != nil && m.rng.IntN(4) == 0 { // the frame stays in the ring for a while
		buf := t.buf
		for range m.rng.IntN(PayloadFrames(t.off, t.n)) { // or another one of it
			buf = buf.Next
		}
		buf.InFlight = true
		buf.Ref()
		m.at(m.rng.Int64N(3e6), func() { buf.InFlight = false; buf.Release() })
	}
	m.carry(func() { m.arrive(o, data, fin, ts) })
}

// arrive is the receiver.
func (m *model) arrive(o int, data []byte, fin bool, ts uint32) {
	r := &m.r
	if o <= r.next {
		r.tsval = ts
	}
	dlo, dhi := -1, -1
	for i, b := range data {
		must(m.t, patternByte(o+i) == b, "byte %d", o+i)
		if r.got[o+i] && dlo < 0 {
			dlo, dhi = o, o+len(data)
		}
		r.got[o+i] = true
	}
	if fin {
		r.fin = o + len(data)
	}
	for r.next < m.total && r.got[r.next] {
		r.next++
	}
	if r.next == m.total && r.fin == m.total {
		r.next++
	}
	if len(data) > 0 && o > r.next {
		r.recent = append([][2]int{{o, o + len(data)}}, r.recent...)
		if len(r.recent) > 3 {
			r.recent = r.recent[:3]
		}
	}
	m.sendAck(dlo, dhi)
}

func (m *model) sendAck(dlo, dhi int) {
	r := &m.r
	wnd := r.window
	if m.shrink && m.rng.IntN(20) == 0 {
		wnd = m.rng.IntN(3000) * m.rng.IntN(2)
		m.at(m.rng.Int64N(300e6), func() { m.sendAck(-1, -1) })
	}
	wnd = max(wnd, m.edge-r.next) &^ 1 // never take window back
	in := ackIn{ack: m.s.iss.Add(r.next + 1), wnd: uint32(wnd), hasTS: m.s.tsOK, tsecr: r.tsval, seq: Seq(r.next)}
	m.edge = max(m.edge, r.next+wnd)
	if m.s.sackOK {
		in.sack = m.blocks(dlo, dhi)
	}
	m.carry(func() {
		out := m.s.onAck(m.now, &in)
		must(m.t, out.err != errAckNew, "an ACK of something never sent")
		m.check()
		m.pump()
	})
}

// blocks are the DSACK and the blocks around the newest arrivals (RFC 2018 §4).
func (m *model) blocks(dlo, dhi int) (b []wire.SACKBlock) {
	add := func(lo, hi int) {
		b = append(b, wire.SACKBlock{Left: uint32(m.s.iss.Add(lo + 1)), Right: uint32(m.s.iss.Add(hi + 1))})
	}
	if dlo >= 0 {
		add(dlo, dhi)
	}
	seen := map[int]bool{}
	for _, x := range m.r.recent {
		lo, hi := x[0], x[1]
		if lo < m.r.next || len(b) == 3 {
			continue
		}
		for lo > m.r.next && m.r.got[lo-1] {
			lo--
		}
		for hi < m.total && m.r.got[hi] {
			hi++
		}
		if !seen[lo] {
			seen[lo] = true
			add(lo, hi)
		}
	}
	return b
}

func (m *model) run() {
	for steps := 0; ; steps++ {
		if m.s.q.empty() && m.written == m.total && m.s.finQueued {
			break
		}
		require.Less(m.t, steps, 400000, "it must end")
		d := m.s.deadline()
		if len(m.queue) > 0 && (d == 0 || m.queue[0].at < d) {
			e := heap.Pop(&m.queue).(modelEvent)
			m.now = e.at
			e.do()
			continue
		}
		if d == 0 {
			m.now += ms
			m.pump()
			require.True(m.t, m.s.deadline() != 0 || len(m.queue) > 0 || m.written < m.total, "nothing will ever happen")
			continue
		}
		m.now = max(m.now, d)
		out := m.s.onTimer(m.now)
		require.NoError(m.t, out.err, "gave up at %d ms, una %d, retries %d", m.now/ms, m.off(m.s.una), m.s.tmr.retries)
		m.check()
		m.pump()
	}
	require.Equal(m.t, m.total+1, m.r.next, "everything arrived")
}

func newModel(t testing.TB, seed uint64) *model {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &model{t: t, rng: rng, now: 1e9, total: 20000 + rng.IntN(150000)}
	m.loss = []float64{0, 0.001, 0.01, 0.05, 0.2, 0.4}[rng.IntN(6)]
	m.dup = []float64{0, 0.01, 0.1}[rng.IntN(3)]
	m.reord = []float64{0, 0.01, 0.1, 0.5}[rng.IntN(4)]
	m.delay = []int64{50e3, 1e6, 20e6, 200e6}[rng.IntN(4)]
	m.jitter = 1 + m.delay*int64(1+rng.IntN(3))
	m.shrink = rng.IntN(3) == 0
	m.r = modelReceiver{got: make([]bool, m.total+1), fin: -1, window: []int{1000, 5000, 65535, 1 << 20}[rng.IntN(4)]}
	pool := pbuf.New(make([]byte, (40+rng.IntN(400))*4096), 4096)
	pool.SetReserve(16)
	m.mem = NewSendMem(pool)
	p := DefaultParams()
	p.Retries2 = 60 // with half of everything lost, fifteen can fail
	p.Congestion = []string{"cubic", "reno", "bbr", "bbr3"}[rng.IntN(4)]
	p.MTUProbing, p.MTUProbeFloor = rng.IntN(3), 300 // every step counts all records again
	m.s.init(m.now, p, m.mem, Seq(rng.Uint32()), []int{536, 1448, 3968, 8948}[rng.IntN(4)])
	m.s.sackOK, m.s.tsOK = rng.IntN(4) != 0, rng.IntN(4) != 0
	m.s.setNoDelay(rng.IntN(2) == 0)
	m.s.skipSYN(m.now)
	m.edge = m.r.window
	m.s.setPeerWindow(0, uint32(m.edge))
	return m
}

// TestSenderDeliversEverything: each byte arrives, counters always agree with the queue, nothing leaves beyond the window
// or while its frame is still in a ring, and no frame is lost.
func TestSenderDeliversEverything(t *testing.T) {
	n := 150
	if testing.Short() {
		n = 40
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			m.run()
			for len(m.queue) > 0 {
				e := heap.Pop(&m.queue).(modelEvent)
				m.now = e.at
				e.do()
			}
			m.s.drop()
			require.Equal(t, m.mem.Pool.Len(), m.mem.Pool.Free(), "frames given back")
		})
	}
}

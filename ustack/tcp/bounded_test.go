package tcp

import (
	"fmt"
	"testing"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// hostile is a peer that makes the sender look for something in a long queue of segments that are in flight, again and
// again: ack tells its i-th acknowledgment of n segments, which are numbered from 0.
type hostile struct {
	name string
	prep func(r *sendRig)
	ack  func(r *sendRig, n, i int) (una int, blocks [][2]int)
}

var hostilePeers = []hostile{
	{name: "no SACK at all", ack: func(_ *sendRig, n, i int) (int, [][2]int) { return i, nil }},
	{name: "one loss, SACK grows to the right", ack: func(_ *sendRig, n, i int) (int, [][2]int) {
		return 0, [][2]int{{1, 2 + i}}
	}},
	{name: "SACK grows to the left", ack: func(_ *sendRig, n, i int) (int, [][2]int) {
		return 0, [][2]int{{n - 1 - i, n}}
	}},
	{name: "four blocks at both ends and between", ack: func(_ *sendRig, n, i int) (int, [][2]int) {
		k := i / 4 * 2
		return 0, [][2]int{{n - k - 1, n - k}, {1 + k, 2 + k}, {n/2 + k/2, n/2 + k/2 + 1}, {n/4 + k/2, n/4 + k/2 + 1}}
	}},
	{name: "everything and a single segment in turn", ack: func(_ *sendRig, n, i int) (int, [][2]int) {
		if i&1 == 0 {
			return 0, [][2]int{{2, n - 1}}
		}
		return 0, [][2]int{{1 + i%(n-2), 2 + i%(n-2)}}
	}},
	{name: "every other segment, from the right", ack: func(_ *sendRig, n, i int) (int, [][2]int) {
		at := n - 2 - 2*(i%(n/2-1))
		return 0, [][2]int{{at, at + 1}}
	}},
	{name: "duplicates of everything", ack: func(_ *sendRig, n, i int) (int, [][2]int) {
		return 0, [][2]int{{1, n - 1}, {0, n}}
	}},
	{name: "the newest first, on a path that reorders", prep: func(r *sendRig) { r.s.rack.seen, r.s.rack.steps = true, 200 },
		ack: func(_ *sendRig, n, i int) (int, [][2]int) { return 0, [][2]int{{n - 1 - i, n - i}} }},
	{name: "holes are lost, retransmissions crawl", prep: func(r *sendRig) { r.s.rack.xmitAt = 0 },
		ack: func(r *sendRig, n, i int) (int, [][2]int) {
			r.s.cwnd = r.s.inFlight() + 1
			at := 1 + i*2%(n-2)
			return 0, [][2]int{{at, at + 1}}
		}},
}

// spurious is a peer whose ACKs come late, so that each timeout is taken back. A timeout judges everything in flight once.
var spurious = hostile{name: "each timeout was spurious", ack: func(r *sendRig, n, i int) (int, [][2]int) {
	r.now += 1e9
	r.s.enterLoss(r.now)
	return 1 + i, nil
}}

// play has the peer send rounds acknowledgments of n segments and returns how many records the sender looked at.
func (h *hostile) play(t testing.TB, n, rounds int) (looked uint64) {
	r := newSendRig(t, 100, func(r *sendRig) {
		r.mem = NewSendMem(pbuf.New(make([]byte, (5*n+100)*4096), 4096))
	})
	r.s.buf.size, r.s.buf.locked = 1<<30, true
	r.s.setPeerWindow(r.s.una, 1<<30)
	r.s.rtt.sample(r.p, 100*ms, r.s.una, r.s.nxt)
	r.cwnd(1 << 20)
	r.write(100 * n)
	for range n {
		seg, ok := r.s.next(r.now)
		must(t, ok, "everything leaves")
		r.s.sent(r.now, &seg)
		r.now += 1e3
	}
	if h.prep != nil {
		h.prep(r)
	}
	if b, ok := t.(*testing.B); ok {
		b.ResetTimer()
	}
	before := r.mem.Stats.Looked
	for i := range rounds {
		r.now += 1e4
		una, blocks := h.ack(r, n, i%(n/2))
		in := ackIn{ack: maxSeq(r.s.una, r.seq(1+100*una)), wnd: r.s.wnd, hasTS: true, tsecr: r.s.tsNow(r.now) - 100}
		for _, b := range blocks {
			in.sack = append(in.sack, wire.SACKBlock{Left: uint32(r.seq(1 + 100*b[0])), Right: uint32(r.seq(1 + 100*b[1]))})
		}
		r.s.onAck(r.now, &in)
		for seg, ok := r.s.next(r.now); ok; seg, ok = r.s.next(r.now) {
			r.s.sent(r.now, &seg)
		}
	}
	return r.mem.Stats.Looked - before
}

// TestHostileAcksCostLittle: whatever blocks a peer makes up, an ACK costs about as many steps with 4,000 segments in
// flight as with 500.
func TestHostileAcksCostLittle(t *testing.T) {
	for _, h := range hostilePeers {
		few, many := h.play(t, 500, 200), h.play(t, 4000, 1600)
		per := func(looked uint64, acks int) float64 { return float64(looked) / float64(acks) }
		t.Logf("%-50s %6.1f steps for an ACK with 500 in flight, %6.1f with 4000", h.name, per(few, 200), per(many, 1600))
		must(t, per(many, 1600) <= 40+1.5*per(few, 200), "%s: %d steps for 200 ACKs, %d for 1600", h.name, few, many)
	}
}

// TestTimeoutIsLinear: a timeout that is taken back marks what is in flight and unmarks it, each once.
func TestTimeoutIsLinear(t *testing.T) {
	for _, n := range []int{500, 4000} {
		per := float64(spurious.play(t, n, 20)) / 20 / float64(n)
		t.Logf("%d in flight: %.1f steps for each and timeout", n, per)
		must(t, per <= 6, "%.1f steps for each of %d in flight", per, n)
	}
}

// BenchmarkHostileAcks is the time for one such ACK; the first two lines are the usual ones.
func BenchmarkHostileAcks(b *testing.B) {
	for _, h := range append(hostilePeers, spurious) {
		for _, n := range []int{100, 8000} {
			b.Run(fmt.Sprintf("%s/%d", h.name, n), func(b *testing.B) {
				looked := h.play(b, n, b.N)
				b.ReportMetric(float64(looked)/float64(b.N), "steps/op")
			})
		}
	}
}

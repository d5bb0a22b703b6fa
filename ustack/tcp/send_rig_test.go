package tcp

import (
	"testing"
	"time"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

// sendRig is a sender under a virtual clock; its verbs read as a packet trace. Numbers are relative: the first byte is 1.
type sendRig struct {
	t   testing.TB
	now int64
	p   *Params
	mem *SendMem
	s   sender
	pat byte
}

const rigISS = Seq(0xffff_fff0) // so that every test wraps around

func newSendRig(t testing.TB, mss int, setup ...func(*sendRig)) *sendRig {
	r := &sendRig{t: t, now: 1000 * ms, p: DefaultParams()}
	r.mem = NewSendMem(pbuf.New(make([]byte, 2048*4096), 4096))
	for _, f := range setup {
		f(r)
	}
	r.s.init(r.now, r.p, r.mem, rigISS, mss)
	r.s.sackOK, r.s.tsOK = true, true
	r.s.skipSYN(r.now)
	r.s.setPeerWindow(0, 1<<20)
	return r
}

func (r *sendRig) seq(n int) Seq   { return rigISS.Add(n) }
func (r *sendRig) after(d int64)   { r.now += d }
func (r *sendRig) write(n int) int { return r.s.write(r.now, make([]byte, n), 0) }
func (r *sendRig) rel(s Seq) int   { return s.Sub(rigISS) }
func (r *sendRig) cwnd(n uint32)   { r.s.cwnd = n }
func (r *sendRig) check()          { checkSender(r.t, &r.s) }
func (r *sendRig) state(want caState) {
	r.t.Helper()
	require.Equal(r.t, want, r.s.state, "congestion state")
}

// sent expects exactly these segments to leave now: pairs of first byte and length.
func (r *sendRig) sent(want ...int) {
	r.t.Helper()
	got := []int{}
	for {
		t, ok := r.s.next(r.now)
		if !ok {
			break
		}
		r.s.sent(r.now, &t)
		got = append(got, r.rel(t.seq), t.end().Sub(t.seq))
		if len(got) > 4000 {
			r.t.Fatal("the sender does not stop")
		}
	}
	if want == nil {
		want = []int{}
	}
	require.Equal(r.t, want, got, "segments sent")
	r.check()
}

// flush lets everything leave that may and returns how many segments did.
func (r *sendRig) flush() int {
	n := 0
	for {
		t, ok := r.s.next(r.now)
		if !ok {
			r.check()
			return n
		}
		r.s.sent(r.now, &t)
		n++
	}
}

// ack delivers an ACK up to byte n, with SACK blocks as pairs of first byte and byte behind the last.
func (r *sendRig) ack(n int, blocks ...int) ackOut { r.t.Helper(); return r.ackWith(n, nil, blocks...) }

func (r *sendRig) ackWith(n int, f func(*ackIn), blocks ...int) ackOut {
	r.t.Helper()
	in := ackIn{ack: r.seq(n), wnd: r.s.wnd}
	for i := 0; i+1 < len(blocks); i += 2 {
		in.sack = append(in.sack, wire.SACKBlock{Left: uint32(r.seq(blocks[i])), Right: uint32(r.seq(blocks[i+1]))})
	}
	if f != nil {
		f(&in)
	}
	out := r.s.onAck(r.now, &in)
	r.check()
	return out
}

// timer runs to the next deadline, which must be d from now.
func (r *sendRig) timer(d int64) timerOut {
	r.t.Helper()
	require.Equal(r.t, time.Duration(d), time.Duration(r.s.deadline()-r.now), "time to the deadline")
	r.now += d
	out := r.s.onTimer(r.now)
	if out.err == nil {
		r.check()
	}
	return out
}

// must is a check that costs nothing when it holds: it stands in loops.
func must(t testing.TB, ok bool, what string, args ...any) {
	if !ok {
		t.Helper()
		t.Fatalf(what, args...)
	}
}

// checkSender recounts everything the sender keeps count of.
func checkSender(t testing.TB, s *sender) {
	t.Helper()
	var b scoreboard
	charge, flying, unsent := 0, 0, false
	seq := s.una
	for r := s.q.head; r != nil; r = r.next {
		must(t, seq == r.seq, "records follow each other")
		seq = r.end()
		charge += r.cost()
		if r == s.q.unsent {
			must(t, s.nxt == r.seq, "the first unsent record begins at SND.NXT")
			unsent = true
		}
		must(t, unsent != r.has(recSent), "sent ones come first")
		if !unsent && countRec(t, s, &b, r) {
			flying++
		}
	}
	must(t, s.end == seq, "the queue ends at the end")
	must(t, charge == s.q.charge, "charge %d is %d", s.q.charge, charge)
	must(t, !s.sackOK || b.sacked == s.sb.sacked, "%d SACKed, not %d", b.sacked, s.sb.sacked)
	got, want := [3]uint32{s.sb.out, s.sb.lost, s.sb.rexmit}, [3]uint32{b.out, b.lost, b.rexmit}
	must(t, got == want, "out, lost, rexmit are %v, not %v", want, got)
	must(t, s.sb.sacked+s.sb.lost <= s.sb.out, "RFC 6675's pipe is negative: %+v", s.sb)
	var last *txRec
	for r := s.q.old; r != nil; last, r = r, r.tnext {
		must(t, last == nil || last.txAt <= r.txAt, "in order of transmission")
		flying--
	}
	must(t, s.q.young == last && flying == 0, "the list by time holds what is in flight")
	checkIndex(t, s)
	must(t, s.cwnd >= 1, "no window")
	must(t, s.sb.out == 0 || s.tmr.kind != timerNone, "something is out and no timer runs")
}

// checkIndex checks what finds records quickly: the list of those that wait to be sent again, the runs of SACKed ones, the
// jumps, and RACK's mark.
func checkIndex(t testing.TB, s *sender) {
	t.Helper()
	n, last := uint32(0), (*txRec)(nil)
	for r := s.sb.waits.head; r != nil; last, r = r, r.tnext {
		must(t, r.has(recWaits) && r.tprev == last && (last == nil || last.seq.LT(r.seq)), "those that wait are in order")
		n++
	}
	must(t, n == s.sb.waits.n && last == s.sb.waits.tail, "%d wait to be sent again, counted %d", n, s.sb.waits.n)
	i, stride := uint32(0), s.sb.out/8+1 // some, so that a check does not cost too much
	for r := s.q.head; r != nil && r.has(recSent); r = r.next {
		if i++; (i+uint32(s.nxt))%stride == 0 {
			found, _ := s.q.find(r.seq)
			must(t, found == r, "a search for %d does not find it", r.seq-s.iss)
		}
		if r.has(recSacked) && r.tnext != nil {
			for x := r; x != r.tnext; x = x.next {
				must(t, x != nil && x.has(recSacked), "a run of SACKed segments has a hole")
			}
		}
	}
	if m := s.q.mark; m != nil {
		must(t, m.has(recTimed) && s.rackOlder(m), "RACK's mark is a segment in flight that left before the newest delivered")
	}
}

// countRec counts one sent record and says whether it is in flight.
func countRec(t testing.TB, s *sender, b *scoreboard, r *txRec) bool {
	b.out++
	if r.has(recSacked) {
		b.sacked++
	}
	if r.has(recRexmit) {
		b.rexmit++
	}
	if r.has(recLost) {
		b.lost++
		must(t, !r.has(recSacked), "SACKed is not lost")
	}
	must(t, r.has(recWaits) == (r.has(recLost) && !r.has(recRexmit)), "what is lost and not sent again waits for it: %x", r.flags)
	flying := !r.has(recSacked) && (!r.has(recLost) || r.has(recRexmit))
	must(t, flying == r.has(recTimed), "in flight means listed by time: %x", r.flags)
	return flying
}

func sackOf(r *sendRig, lo, hi int) wire.SACKBlock {
	return wire.SACKBlock{Left: uint32(r.seq(lo)), Right: uint32(r.seq(hi))}
}

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

// checkSender recounts everything the sender keeps count of.
func checkSender(t testing.TB, s *sender) {
	t.Helper()
	var b scoreboard
	charge, listed, unsent := 0, 0, false
	seq := s.una
	for r := s.q.head; r != nil; r = r.next {
		require.Equal(t, seq, r.seq, "records follow each other")
		seq = r.end()
		charge += int(r.n) + recCharge
		if r == s.q.unsent {
			require.Equal(t, s.nxt, r.seq, "the first unsent record begins at SND.NXT")
			unsent = true
		}
		require.Equal(t, !unsent, r.has(recSent))
		if unsent {
			continue
		}
		b.out++
		if r.has(recSacked) {
			b.sacked++
		}
		if r.has(recLost) {
			b.lost++
			require.False(t, r.has(recSacked), "SACKed is not lost")
			if !r.has(recRexmit) {
				require.NotNil(t, s.sb.hint, "something lost waits")
				require.False(t, r.seq.LT(s.sb.hint.seq), "nothing that waits lies before the hint")
			}
		}
		if r.has(recRexmit) {
			b.rexmit++
		}
		flying := !r.has(recSacked) && (!r.has(recLost) || r.has(recRexmit))
		require.Equal(t, flying, r.inFlightList(&s.q), "in flight means listed by time: %x", r.flags)
		if flying {
			listed++
		}
	}
	require.Equal(t, s.end, seq, "the queue ends at the end")
	require.Equal(t, charge, s.q.charge, "charge")
	if s.sackOK {
		require.Equal(t, b.sacked, s.sb.sacked, "sacked")
	}
	require.Equal(t, [3]uint32{b.out, b.lost, b.rexmit}, [3]uint32{s.sb.out, s.sb.lost, s.sb.rexmit}, "out, lost, rexmit")
	require.LessOrEqual(t, s.sb.sacked+s.sb.lost, s.sb.out, "RFC 6675's pipe is never negative")
	var last *txRec
	for r := s.q.old; r != nil; r = r.tnext {
		if last != nil {
			require.LessOrEqual(t, last.txAt, r.txAt, "in order of transmission")
		}
		last = r
		listed--
	}
	require.Equal(t, s.q.young, last)
	require.Zero(t, listed)
	require.GreaterOrEqual(t, s.cwnd, uint32(1))
	if s.sb.out > 0 {
		require.NotEqual(t, timerNone, s.tmr.kind, "something is out: a timer runs")
	}
}

func sackOf(r *sendRig, lo, hi int) wire.SACKBlock {
	return wire.SACKBlock{Left: uint32(r.seq(lo)), Right: uint32(r.seq(hi))}
}

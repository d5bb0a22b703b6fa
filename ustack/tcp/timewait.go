package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// timeWaitLen is how long TIME-WAIT lasts: 60 seconds in the kernel, where RFC 9293 §3.4.3 says 2 MSL, four minutes.
const timeWaitLen = 60e9

// TimeWaits are the flows in TIME-WAIT, and in FIN-WAIT-2 after the program is gone: small records, at most
// tcp_max_tw_buckets, so that a connection costs little once it is over.
//
// Records live in one slice and are linked into slots by the second they end in, so that adding, moving and ending one
// costs the same however many there are.
type TimeWaits struct {
	h     *Host
	index map[Flow]int32
	recs  []waiting
	free  int32 // first of the unused records, linked by next; -1 none
	slots [waitSlots]int32
	next  int64 // second of the earliest slot that may hold one, 0 none
	n     int
}

// waitSlots is more than the longest wait in seconds.
const waitSlots = 128

type waiting struct {
	flow           Flow
	rcvNxt, sndNxt Seq
	rcvWnd         uint32
	tsRecent       uint32
	tsOff          uint32
	tsAt           int64
	oowAt          int64
	second         int64
	prev, next     int32
	wnd            uint16 // the window field of our ACKs
	state          State  // FinWait2 or TimeWait
	ts             bool
}

func (t *TimeWaits) init(h *Host) {
	t.h, t.index, t.free = h, make(map[Flow]int32), -1
	for i := range t.slots {
		t.slots[i] = -1
	}
}

// Len is the number of flows.
func (t *TimeWaits) Len() int { return t.n }

// State is a flow's: TimeWait, FinWait2, or Closed if it has no record.
func (t *TimeWaits) State(f Flow) State {
	if i, ok := t.index[f]; ok {
		return t.recs[i].state
	}
	return Closed
}

// add makes a record of a connection that is over. With too many already there is none, as in the kernel: an old
// segment then meets a reset.
func (t *TimeWaits) add(now int64, c *Conn, state State, wait int64) {
	if t.n >= t.h.Params.MaxTWBuckets {
		t.h.MIB.TCPTimeWaitOverflow++
		return
	}
	i := t.alloc()
	t.recs[i] = waiting{flow: c.Flow, rcvNxt: c.rcvNxt, sndNxt: c.snd.nxt, rcvWnd: uint32(c.offered()),
		tsRecent: c.paws.recent, tsOff: c.snd.tsOff, tsAt: c.paws.at, ts: c.is(flagTS), state: state,
		wnd: uint16(min(c.offered()>>c.rcvScale, 65535))}
	if old, ok := t.index[c.Flow]; ok {
		t.remove(old)
	}
	t.index[c.Flow] = i
	t.n++
	t.link(i, now+wait)
	t.h.MIB.TW++
}

func (t *TimeWaits) alloc() int32 {
	if i := t.free; i >= 0 {
		t.free = t.recs[i].next
		return i
	}
	t.recs = append(t.recs, waiting{})
	return int32(len(t.recs) - 1)
}

func (t *TimeWaits) link(i int32, at int64) {
	r := &t.recs[i]
	r.second = at/1e9 + 1
	if t.next == 0 || r.second < t.next {
		t.next = r.second
	}
	slot := &t.slots[r.second%waitSlots]
	r.prev, r.next = -1, *slot
	if *slot >= 0 {
		t.recs[*slot].prev = i
	}
	*slot = i
}

func (t *TimeWaits) unlink(i int32) {
	r := &t.recs[i]
	if r.prev >= 0 {
		t.recs[r.prev].next = r.next
	} else {
		t.slots[r.second%waitSlots] = r.next
	}
	if r.next >= 0 {
		t.recs[r.next].prev = r.prev
	}
}

func (t *TimeWaits) remove(i int32) {
	t.unlink(i)
	delete(t.index, t.recs[i].flow)
	t.recs[i] = waiting{next: t.free}
	t.free = i
	if t.n--; t.n == 0 {
		t.next = 0
	}
}

// Deadline is when OnTimer wants to be called, 0 for never.
func (t *TimeWaits) Deadline() int64 { return t.next * 1e9 }

// OnTimer ends what is due.
func (t *TimeWaits) OnTimer(now int64) {
	sec := now / 1e9
	if t.next == 0 || sec < t.next {
		return
	}
	for s := max(t.next, sec-waitSlots+1); s <= sec; s++ {
		for i := t.slots[s%waitSlots]; i >= 0; {
			next := t.recs[i].next
			if t.recs[i].second <= sec {
				t.remove(i)
			}
			i = next
		}
	}
	t.next = 0
	for s := sec + 1; t.n > 0 && s <= sec+waitSlots; s++ {
		if t.slots[s%waitSlots] >= 0 {
			t.next = s
			return
		}
	}
}

// Verdict is what TimeWaits.Input found.
type Verdict uint8

// What to do with a segment that was offered to TimeWaits.
const (
	NotWaiting Verdict = iota // no such flow
	Handled                   // done
	NewSYN                    // a new incarnation: give it to the listener with the returned initial number
)

// Input takes a segment of a flow that no connection has. listening says that somebody listens on its port.
func (t *TimeWaits) Input(now int64, f *Flow, s *Segment, listening bool, out Out) (Verdict, Seq) {
	if t.n == 0 {
		return NotWaiting, 0
	}
	i, ok := t.index[*f]
	if !ok {
		return NotWaiting, 0
	}
	r := &t.recs[i]
	old := r.ts && s.Opts.Has(wire.HasTimestamp) && !(&pawsState{r.tsRecent, r.tsAt}).ok(now, s.Opts.TSVal, 0)
	if r.state == FinWait2 {
		t.finWait2(now, i, s, old && !s.Flags.Any(wire.RST), out)
		return Handled, 0
	}
	return t.timeWait(now, i, s, old, listening, out)
}

// finWait2 repeats the checks of the full state: what was not read by anybody ends in a reset, a FIN in TIME-WAIT.
func (t *TimeWaits) finWait2(now int64, i int32, s *Segment, old bool, out Out) {
	r := &t.recs[i]
	switch {
	case old || !inWindow(s, r.rcvNxt, r.rcvWnd):
		t.answer(now, r, s, &t.h.MIB.TCPACKSkippedFinWait2, out)
	case s.Flags.Any(wire.RST):
		t.remove(i)
	case s.Flags.Any(wire.SYN) && s.Seq.GEQ(r.rcvNxt):
		Reset(t.h, &r.flow, s, out)
		t.remove(i)
	case !s.Flags.Any(wire.ACK) || s.end().LEQ(r.rcvNxt) || s.len() == 0: // a duplicate ACK
	case !s.Flags.Any(wire.FIN) || s.end() != r.rcvNxt.Add(1): // data after close(2), RFC 1122 §4.2.2.13
		Reset(t.h, &r.flow, s, out)
		t.remove(i)
	default:
		r.state, r.rcvNxt = TimeWait, s.end()
		t.stamp(now, r, s)
		t.restart(now, i)
		t.ack(now, r, out)
	}
}

// timeWait is the TIME-WAIT state of RFC 9293 §3.10.7.4 with RFC 6191.
func (t *TimeWaits) timeWait(now int64, i int32, s *Segment, old, listening bool, out Out) (Verdict, Seq) {
	r := &t.recs[i]
	rst, syn, ack := s.Flags.Any(wire.RST), s.Flags.Any(wire.SYN), s.Flags.Any(wire.ACK)
	switch {
	case !old && s.Seq == r.rcvNxt && (s.len() == 0 || rst):
		if rst && !t.h.Params.RFC1337 { // the assassination of RFC 1337 §2; §3 (F1) is to ignore resets here
			t.remove(i)
			return Handled, 0
		}
		t.stamp(now, r, s)
		t.restart(now, i)
	case syn && !rst && !ack && !old && listening && t.newer(r, s):
		// "If the timestamp of the incoming SYN segment is greater than the last timestamp [...] honor the connection
		// request (creating a connection in the SYN-RECEIVED state)" RFC 6191 §2. "assigns its initial sequence number
		// for the new connection to be larger than the largest sequence number it used on the previous connection
		// incarnation" RFC 1122 §4.2.2.13
		isn := r.nextISN()
		t.remove(i)
		return NewSYN, isn
	case !rst:
		if old {
			t.h.MIB.PAWSTimewait++
		}
		if old || ack {
			t.restart(now, i) // "The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and restart the 2 MSL timeout."
		}
		t.answer(now, r, s, &t.h.MIB.TCPACKSkippedTimeWait, out)
	}
	return Handled, 0
}

func (t *TimeWaits) newer(r *waiting, s *Segment) bool {
	return s.Seq.GT(r.rcvNxt) || r.ts && s.Opts.Has(wire.HasTimestamp) && int32(r.tsRecent-s.Opts.TSVal) < 0
}

func (t *TimeWaits) stamp(now int64, r *waiting, s *Segment) {
	if r.ts && s.Opts.Has(wire.HasTimestamp) {
		r.tsRecent, r.tsAt = s.Opts.TSVal, now
	}
}

func (t *TimeWaits) restart(now int64, i int32) {
	t.unlink(i)
	t.link(i, now+timeWaitLen)
}

func (t *TimeWaits) answer(now int64, r *waiting, s *Segment, skipped *uint64, out Out) {
	if s.Flags.Any(wire.RST) {
		return
	}
	if s.len() == 0 || s.Flags.Any(wire.SYN) {
		if t.h.Params.tooSoon(now, r.oowAt) {
			*skipped++
			return
		}
		r.oowAt = now
	}
	t.ack(now, r, out)
}

func (t *TimeWaits) ack(now int64, r *waiting, out Out) {
	h := t.h.header()
	h.Flags, h.Seq, h.Ack, h.Wnd = wire.ACK, r.sndNxt, r.rcvNxt, r.wnd
	if r.ts {
		h.Opts.Set = wire.HasTimestamp
		h.Opts.TSVal, h.Opts.TSEcr = uint32(now/millisecond)+r.tsOff, r.tsRecent
	}
	out.Reply(&r.flow, h)
}

// Each calls f for every flow.
func (t *TimeWaits) Each(f func(Flow, State)) {
	for flow, i := range t.index {
		f(flow, t.recs[i].state)
	}
}

// inWindow is the acceptability test of RFC 9293 §3.10.7.4 as tcp_in_window.
func inWindow(s *Segment, nxt Seq, wnd uint32) bool {
	end := s.end()
	if s.Seq == nxt {
		return true
	}
	if end.GT(nxt) && s.Seq.LT(nxt.Add(int(wnd))) {
		return true
	}
	return s.Seq == nxt.Add(int(wnd)) && s.Seq == end
}

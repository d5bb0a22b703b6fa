package sim

import (
	"fmt"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// judge holds a packet against the rules that need no look into the stack.
func (v *watcher) judge(now int64, s *segment) {
	me, you := &s.f.half[s.side], &s.f.half[1-s.side]
	why := ""
	switch {
	case s.flags.Any(wire.RST):
		if !v.hostile[1-s.side] { // its number is that of the ACK which it answers
			why = ruleReset(s, me)
		}
	case s.flags.Any(wire.SYN):
		why = ruleSYN(s, me, you)
	case !me.syn: // of no connection the watcher knows: the rest of one that is over
		why = "data of no connection"
		if s.n == 0 {
			return
		}
	default:
		why = first(ruleOptions(s, me, you), ruleSpace(s, me), ruleWindow(s, me), ruleSize(s, me, you, v.iplen))
	}
	why = first(why, ruleACK(s, me), ruleSACK(s, me), ruleTimestamps(s, me), ruleECN(s, me), me.again.rule(now, s, me))
	if why != "" {
		v.t.Fatalf("host %d breaks a rule: %s\n%s\n%+v", s.side, why, s, *me)
	}
}

func first(why ...string) string {
	for _, w := range why {
		if w != "" {
			return w
		}
	}
	return ""
}

// String writes the segment as tcpdump would.
func (s *segment) String() string {
	o := ""
	for _, b := range s.opts.SACK[:s.opts.NSACK] {
		o += fmt.Sprintf(" sack %d:%d", b.Left, b.Right)
	}
	if s.opts.Has(wire.HasTimestamp) {
		o += fmt.Sprintf(" ts %d %d", s.opts.TSVal, s.opts.TSEcr)
	}
	return fmt.Sprintf("%d > %d [%s] seq %d:%d ack %d win %d%s", s.f.port[s.side], s.f.port[1-s.side], s.flags, s.seq, s.end, s.ack, s.wnd, o)
}

// ruleReset: RFC 9293 §3.5.2: a reset carries a number that the other end believes: ours, or the one it acknowledged.
func ruleReset(s *segment, me *half) string {
	switch {
	case s.n > 0:
		return "a reset with data"
	case s.flags.Any(wire.ACK) || !me.syn || !me.heardSYN:
		return ""
	case s.seq.GT(me.nxt) || s.seq.LT(me.iss):
		return "a reset beyond anything sent"
	}
	return ""
}

// ruleSYN: the options of a SYN-ACK answer those of the SYN: RFC 7323 §1.3, RFC 2018 §2.
func ruleSYN(s *segment, me, you *half) string {
	const needs = wire.HasWScale | wire.HasSACKPerm | wire.HasTimestamp
	switch {
	case s.n > 0:
		return "data on a SYN"
	case !s.opts.Has(wire.HasMSS):
		return "a SYN without MSS"
	case me.syn && s.seq != me.iss && (me.data > 0 || me.fin || !s.flags.Any(wire.ACK)):
		return "a SYN of another number"
	case s.flags.Any(wire.ACK) && s.opts.Set&needs&^you.opts != 0:
		return "an option nobody asked for"
	}
	return ""
}

// ruleOptions: "Once TSopt has been successfully negotiated [...] the TSopt MUST be sent in every non-<RST> segment for
// the duration of the connection" RFC 7323 §3.2; the others belong to SYNs.
func ruleOptions(s *segment, me, you *half) string {
	both := me.opts & you.opts
	switch {
	case s.opts.Set&(wire.HasMSS|wire.HasWScale|wire.HasSACKPerm) != 0:
		return "an option of a SYN"
	case you.syn && (both&wire.HasTimestamp != 0) != s.opts.Has(wire.HasTimestamp):
		return "a timestamp that was not agreed on, or none"
	case s.opts.NSACK > 0 && you.opts&wire.HasSACKPerm == 0:
		return "SACK to an end that does not know it"
	}
	return ""
}

// ruleSpace: sequence space is used in order, without a hole, and nothing follows a FIN.
func ruleSpace(s *segment, me *half) string {
	switch {
	case s.seq.GT(me.nxt):
		return "a hole in sequence space"
	case s.seq.LT(me.iss):
		return "a number before the first"
	case me.fin && s.end.GT(me.nxt):
		return "something behind the FIN"
	case s.n > 0 && s.seq == me.iss:
		return "data at the SYN's number"
	}
	return ""
}

// ruleWindow: nothing beyond the right edge of any window the other end ever told.
func ruleWindow(s *segment, me *half) string {
	if s.end != s.seq && s.end.GT(me.allowed) {
		return fmt.Sprintf("%d bytes beyond the peer's window", s.end.Sub(me.allowed))
	}
	return ""
}

// ruleSize: the MSS option tells the MTU without the fixed headers; what options take, the data leaves (RFC 9293 §3.7.1).
func ruleSize(s *segment, me, you *half, iplen int) string {
	mss := 536
	if you.opts&wire.HasMSS != 0 {
		mss = int(you.mss)
	}
	if s.n > 0 && s.iplen-iplen-wire.TCPLen > mss {
		return fmt.Sprintf("a segment of %d bytes, the peer's MSS is %d", s.iplen-iplen-wire.TCPLen, mss)
	}
	return ""
}

// ruleACK: an end acknowledges what has come without a hole, never less than before, and takes no window back: "A TCP
// receiver SHOULD NOT shrink the window" RFC 9293 §3.8.6, but closes it, as Linux does, when what came in order found no memory. Scaled
// windows lose their low bits.
func ruleACK(s *segment, me *half) string {
	if !s.flags.Any(wire.ACK) || s.flags.Any(wire.RST) {
		return ""
	}
	unit := 1 << s.f.shift(s.side)
	switch {
	case s.answersAnother(me):
		return ""
	case me.heardSYN && s.ack.GT(me.rcv):
		return fmt.Sprintf("acknowledges %d bytes that never came", s.ack.Sub(me.rcv))
	case !me.told || s.f.late:
		return ""
	case s.ack.LT(me.lastAck):
		return fmt.Sprintf("acknowledges %d bytes less than before", me.lastAck.Sub(s.ack))
	case s.wnd == 0 && s.ack.LT(me.rcv): // dropped
		return ""
	case me.edge.Sub(s.edge()) >= unit:
		return fmt.Sprintf("takes %d bytes of window back", me.edge.Sub(s.edge()))
	}
	return ""
}

// answersAnother: cookies remember no SYN, so one of another number is answered as the first was. That tells nothing of the connection.
func (s *segment) answersAnother(me *half) bool {
	return s.flags.Any(wire.SYN) && me.ahead.has(s.ack-1, s.ack)
}

// ruleSACK: blocks tell what came and is not acknowledged; the first may tell of a duplicate instead, if it is
// below the cumulative ACK or within the second (RFC 2883 §4), and then it came twice.
func ruleSACK(s *segment, me *half) string {
	for i, b := range s.opts.SACK[:s.opts.NSACK] {
		lo, hi := tcp.Seq(b.Left), tcp.Seq(b.Right)
		if !lo.LT(hi) {
			return "a SACK block of nothing"
		}
		if i == 0 && s.reportsDuplicate(lo, hi) {
			if !me.twice.has(lo, hi) {
				return "a D-SACK of what came once"
			}
			continue
		}
		if lo.LEQ(s.ack) {
			return "a SACK block of what is acknowledged"
		}
		if !me.ahead.has(lo, hi) && !(lo.GT(me.irs) && hi.LEQ(me.rcv)) {
			return "a SACK block of what never came"
		}
		for j := range i {
			o := s.opts.SACK[j]
			if (j > 0 || !s.reportsDuplicate(tcp.Seq(o.Left), tcp.Seq(o.Right))) && lo.LT(tcp.Seq(o.Right)) && tcp.Seq(o.Left).LT(hi) {
				return "two SACK blocks overlap"
			}
		}
	}
	return ""
}

func (s *segment) reportsDuplicate(lo, hi tcp.Seq) bool {
	if lo.LT(s.ack) {
		return true
	}
	o := s.opts.SACK[1]
	return s.opts.NSACK > 1 && lo.GEQ(tcp.Seq(o.Left)) && hi.LEQ(tcp.Seq(o.Right))
}

// ruleTimestamps: the clock never goes back, and the echo is of a timestamp that came, never of an older one than before:
// RFC 7323 §3.2, §4.3.
func ruleTimestamps(s *segment, me *half) string {
	if !s.opts.Has(wire.HasTimestamp) || s.flags.Any(wire.RST) {
		return ""
	}
	switch {
	case me.tsval != 0 && int32(s.opts.TSVal-me.tsval) < 0 && !s.f.late:
		return "its timestamps go back"
	case s.opts.TSEcr != 0 && !me.heardSYN:
		return "echoes a timestamp that never came"
	case s.opts.TSEcr != 0 && me.heardTS != 0 && int32(s.opts.TSEcr-me.heardTS) > 0:
		return "echoes a timestamp that never came"
	case me.tsecr != 0 && s.opts.TSEcr != 0 && !s.f.late && int32(s.opts.TSEcr-me.tsecr) < 0:
		return "echoes an older timestamp than before"
	}
	return ""
}

// ruleECN: "ECT codepoint MUST NOT be set on retransmitted data packets", nor on pure ACKs, SYNs and resets: RFC 3168 §6.1.1,
// §6.1.4, §6.1.5.
func ruleECN(s *segment, me *half) string {
	if s.ect && (s.n == 0 || s.flags.Any(wire.SYN|wire.RST) || s.seq.LT(me.nxt)) {
		return "ECT where it must not be"
	}
	return ""
}

// backoff follows the retransmissions of one number while nothing at all comes back: "The host MUST set RTO <- RTO * 2
// ('back off the timer')" RFC 6298 §5 (5.5).
type backoff struct {
	off      bool // frames are so scarce that segments wait for them
	seq      tcp.Seq
	at, gap  int64
	count    int
	arrivals int
}

// anew: what is sent again next has another reason than a timeout, or a timer that was held up.
func (b *backoff) anew() { *b = backoff{off: b.off} }

func (b *backoff) rule(now int64, s *segment, me *half) string {
	if b.off || s.n == 0 || s.flags.Any(wire.SYN) {
		return ""
	}
	if s.seq != b.seq || me.arrivals != b.arrivals || b.at == 0 {
		if s.seq == me.una {
			*b = backoff{seq: s.seq, at: now, arrivals: me.arrivals}
		}
		return ""
	}
	gap := now - b.at
	const most = 119 * second
	why := ""
	if b.count >= 2 && gap < b.gap*19/10 && gap < most {
		why = fmt.Sprintf("sent again %d ms after a pause of %d ms", gap/ms, b.gap/ms)
	}
	b.at, b.gap, b.count = now, gap, b.count+1
	return why
}

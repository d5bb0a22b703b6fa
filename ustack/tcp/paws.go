package tcp

import "github.com/sluice-net/sluice/ustack/wire"

const (
	pshFlag = wire.PSH
	ackFlag = wire.ACK
)

// pawsState is what RFC 7323 §4 and §5 remember.
type pawsState struct {
	recent uint32 // TS.Recent
	at     int64  // when it was set
}

// tsNow is our timestamp clock.
func (c *Conn) tsNow(now int64) uint32 { return c.snd.tsNow(now) }

// pawsAge is how long TS.Recent stays valid: a "mechanism to 'invalidate' the TS.Recent value when a connection is idle for
// more than 24 days" RFC 7323 §5.5.
const pawsAge = 24 * 24 * 3600 * int64(1e9)

// pawsOK says whether a segment passes. Else "treat the arriving segment as not acceptable" RFC 7323 §5.3 R1. slack is how
// far it may lie back.
func (p *pawsState) ok(now int64, tsval uint32, slack int32) bool {
	return int32(p.recent-tsval) <= slack || now-p.at >= pawsAge || p.recent == 0
}

// pawsReject says whether a segment must be dropped as old. A pure duplicate ACK that was overtaken is harmless and let
// through, as in the kernel (tcp_disordered_ack).
func (c *Conn) pawsReject(now int64, s *Segment) bool {
	if !c.is(flagTS) || !s.Opts.Has(wire.HasTimestamp) || c.paws.ok(now, s.Opts.TSVal, 1) {
		return false
	}
	pure := s.Flags.Any(wire.ACK) && s.len() == 0 && s.Seq == c.rcvNxt && s.Ack == c.snd.una &&
		uint32(s.Wnd)<<c.sndScale == c.snd.wnd
	late := int32(c.paws.recent - s.Opts.TSVal)
	return !pure || int64(late) > c.rto()*1200/1e9
}

// keepTS stores the segment's timestamp: "If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent, then SEG.TSval is
// copied to TS.Recent" RFC 7323 §4.3 (2).
func (c *Conn) keepTS(now int64, s *Segment) {
	if c.is(flagTS) && s.Opts.Has(wire.HasTimestamp) && s.Seq.LEQ(c.rcvWup) && c.paws.ok(now, s.Opts.TSVal, 0) {
		c.paws = pawsState{s.Opts.TSVal, now}
	}
}

package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// tooSoon says whether an answer would come too soon after the last one, 0 for none: tcp_invalid_ratelimit.
func (p *Params) tooSoon(now, last int64) bool {
	return last != 0 && now-last < int64(p.InvalidLimit)
}

// mayAnswer limits answers to unacceptable segments to one in 500 ms for each connection, so that two ends that disagree
// don't answer each other for ever. Segments with data are never part of such a loop.
func (c *Conn) mayAnswer(now int64, s *Segment, skipped *uint64) bool {
	if s.Size() > 0 && !s.Flags.Any(wire.SYN) {
		return true
	}
	if c.h.Params.tooSoon(now, c.oowAt) {
		*skipped++
		return false
	}
	c.oowAt = now
	return true
}

// challenge sends the ACK of RFC 5961, which only the true peer can answer in a way that hurts. "An implementation SHOULD
// include an ACK throttling mechanism" §7: one in 500 ms for each connection, and tcp_challenge_ack_limit a second for
// the host.
func (c *Conn) challenge(now int64) {
	if c.h.Params.tooSoon(now, c.oowAt) {
		c.h.MIB.TCPACKSkippedChallenge++
		return
	}
	c.oowAt = now
	if !c.h.mayChallenge(now) {
		return
	}
	c.h.MIB.TCPChallengeACK++
	c.ack.pending |= ackScheduled | ackNow
}

func (c *Conn) challengeSYN(now int64) {
	c.h.MIB.TCPSYNChallenge++
	c.challenge(now)
}

// challengeBudget is how many challenge ACKs may still leave in the present second. The count starts at a random place
// between half the limit and all of it, so that nobody can measure it from outside (CVE-2016-5696).
type challengeBudget struct {
	second int64
	left   int
}

func (h *Host) mayChallenge(now int64) bool {
	limit := h.Params.ChallengeLimit
	if limit <= 0 || limit >= 1<<31-1 {
		return true // not limited
	}
	b := &h.challenges
	if sec := now / 1e9; sec != b.second {
		b.second = sec
		b.left = limit/2 + int(h.Rand()%uint64(limit/2+1))
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

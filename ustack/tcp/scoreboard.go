package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// scoreboard is what the sender knows of the segments between una and nxt, RFC 6675 §3 "scoreboard" in counters:
//
//	pipe = out - sacked - lost + rexmit
type scoreboard struct {
	out    uint32 // sent and not acknowledged cumulatively
	sacked uint32 // of these: the peer has them by SACK (without SACK: as many as there were duplicate ACKs)
	lost   uint32 // of these: deemed lost
	rexmit uint32 // retransmissions on their way

	lostMarks uint32   // how often a segment was marked lost
	high      Seq      // end of the highest SACKed segment, una if there is none
	walk      *txRec   // where the last block was marked: the next is mostly near
	waits     lostList // lost, and not sent again; from its tail on nothing is touched while nothing is lost

	cache      *sackRanges // blocks of the last ACK that was processed; nil: none came yet
	bytesAgain uint64
	total      uint32 // retransmissions of this connection
	dsacks     uint32
	reorders   uint32

	timeouts, recoveries uint16 // see rtostats.go
}

type sackRange struct{ lo, hi Seq }

type sackRanges [4]sackRange

// forget drops everything SACK told.
func (b *scoreboard) forget(una Seq) {
	b.high, b.walk, b.cache = una, nil, nil
}

// splitCounts counts the second part of a record that was cut.
func (b *scoreboard) splitCounts(r *txRec) {
	if !r.has(recSent) {
		return
	}
	b.out++
	if r.has(recSacked) {
		b.sacked++
	}
	if r.has(recLost) {
		b.lost++
	}
	if r.has(recRexmit) {
		b.rexmit++
	}
}

// removed takes an acknowledged record out of the counters.
func (s *sender) uncount(r *txRec) {
	b := &s.sb
	b.out--
	if r.has(recSacked) {
		b.sacked--
	}
	if r.has(recLost) {
		b.lost--
	}
	if r.has(recRexmit) {
		b.rexmit--
	}
	b.waits.remove(r)
	if b.walk == r {
		b.walk = r.next
	}
}

// markLost deems a segment lost; one that was retransmitted is lost again.
func (s *sender) markLost(r *txRec) {
	if r.has(recSacked) {
		return
	}
	s.q.unstamp(r)
	if r.has(recRexmit) {
		r.flags &^= recRexmit
		s.sb.rexmit--
		s.mem.Stats.LostRetransmit++
	} else if r.has(recLost) {
		return
	}
	if !r.has(recLost) {
		r.flags |= recLost
		s.sb.lost++
	}
	s.sb.lostMarks++
	if !s.sackOK {
		s.limitReno()
	}
	s.mem.Stats.Looked += s.sb.waits.add(r)
}

// lose deems a segment lost and tells the congestion control.
func (s *sender) lose(now int64, r *txRec) {
	was := s.sb.lostMarks
	if s.markLost(r); s.sb.lostMarks != was {
		s.cc.lost(s, now, r)
	}
}

// sackTag takes the blocks of an ACK. "When receiving an ACK containing a SACK option, the data sender
// SHOULD record the selective acknowledgment for future reference." RFC 2018 §5
func (s *sender) sackTag(a *ackWork) {
	var blocks sackRanges
	n := 0
	in := a.in.sack
	if len(in) > 4 {
		in = in[:4]
	}
	for i, w := range in {
		r := sackRange{Seq(w.Left), Seq(w.Right)}
		if i == 0 && s.isDSACK(a, in) {
			s.dsackSeen(a, r)
			a.dup = r
		} else if !s.validBlock(r) {
			if a.in.ack == s.una || r.hi.GT(s.una) { // else the ACK was overtaken
				s.mem.Stats.SACKDiscard++
			}
			continue
		}
		if !r.hi.GT(s.una) {
			continue
		}
		j := n // by sequence: the walk goes forward
		for ; j > 0 && blocks[j-1].lo.GT(r.lo); j-- {
			blocks[j] = blocks[j-1]
		}
		blocks[j] = r
		n++
	}
	for _, r := range blocks[:n] {
		s.tagBlock(a, r)
	}
	if s.sb.cache == nil {
		s.sb.cache = new(sackRanges)
	}
	*s.sb.cache = blocks
}

// validBlock bounds what a peer may claim: only what was sent and is not acknowledged.
func (s *sender) validBlock(r sackRange) bool {
	return r.hi.LEQ(s.nxt) && r.lo.LT(r.hi) && r.lo.GEQ(s.una)
}

// isDSACK: "If the SACK sequence space is less than this cumulative ACK, it is an indication that the segment identified by
// the SACK block has been received more than once"; else the first block is compared with the second. RFC 2883 §4
func (s *sender) isDSACK(a *ackWork, in []wire.SACKBlock) bool {
	lo, hi := Seq(in[0].Left), Seq(in[0].Right)
	if !lo.LT(hi) || hi.GT(s.nxt) || hi.Sub(lo) > int(s.maxWnd)+s.mss || a.in.ack.Sub(lo) > int(s.maxWnd)+s.mss {
		return false
	}
	if lo.LT(a.in.ack) {
		return true
	}
	return len(in) > 1 && hi.LEQ(Seq(in[1].Right)) && lo.GEQ(Seq(in[1].Left))
}

// dsackWalk bounds how many segments a duplicate's block is looked for in: it names one segment, or what a receiver
// merged into one (64 KB).
const dsackWalk = 64

// tagBlock marks the segments that lie wholly in the block. What is marked already is stepped over by runs, so an ACK
// costs what is new in it.
func (s *sender) tagBlock(a *ackWork, b sackRange) {
	from, dup := b.lo, a.dup == b
	for i := 0; s.sb.cache != nil && i < len(s.sb.cache) && !dup; i++ {
		c := &s.sb.cache[i]
		if c.lo.LEQ(from) && c.hi.GT(from) {
			from = c.hi
		}
	}
	if !b.hi.GT(from) {
		return
	}
	r, looked := s.near(from)
	for ; r != nil && r.has(recSent) && r.seq.LT(b.hi); r = r.next {
		if looked++; dup && looked > dsackWalk {
			break
		}
		if r.has(recSacked) && !dup {
			r, looked = r.lastOfRun(looked)
		} else if r.end().LEQ(b.hi) && r.seq.GEQ(b.lo) {
			s.tag(a, r, dup)
		}
		s.sb.walk = r
	}
	s.mem.Stats.Looked += looked
}

// near is the first sent record that ends behind seq: a step or two from where the last block was, or anywhere.
func (s *sender) near(seq Seq) (*txRec, uint64) {
	if r := s.sb.walk; r != nil && r.seq.LEQ(seq) {
		for looked := range uint64(3) {
			if !r.has(recSent) || r.end().GT(seq) {
				return r, looked
			}
			if r = r.next; r == nil {
				return nil, looked
			}
		}
	}
	return s.q.find(seq)
}

// lastOfRun is the last of the SACKed records that follow r without one between that is not. The way gets shorter for
// the next time.
func (r *txRec) lastOfRun(looked uint64) (*txRec, uint64) {
	for ; r.tnext != nil; looked++ {
		if r.tnext.tnext != nil {
			r.tnext = r.tnext.tnext
		}
		r = r.tnext
	}
	return r, looked
}

// joinRuns makes a record that was just SACKed part of the runs beside it.
func (r *txRec) joinRuns() {
	if r.next != nil && r.next.has(recSacked) {
		r.tnext = r.next
	}
	if r.prev != nil && r.prev.has(recSacked) {
		r.prev.tnext = r
	}
}

// tag marks one segment as delivered by SACK.
func (s *sender) tag(a *ackWork, r *txRec, dup bool) {
	if dup && r.has(recEver) {
		if s.undo.on && s.undo.pending > 0 && r.end().GT(s.undo.una) {
			s.undo.pending--
		}
		if r.has(recSacked) {
			a.reorder(r.seq)
		}
	}
	if r.has(recSacked) {
		return
	}
	if r.end().GT(s.una) {
		s.rackAdvance(a, r)
	}
	switch {
	case r.has(recRexmit):
		if r.has(recLost) {
			r.flags &^= recLost | recRexmit
			s.sb.lost--
			s.sb.rexmit--
		}
	default:
		if !r.has(recEver) {
			if r.seq.LT(s.sackHigh()) { // a hole was filled by the original: the path reorders
				a.reorder(r.seq)
			}
			if r.end().LEQ(s.highSeq) {
				a.origSacked = true
			}
			if a.firstSackT == 0 {
				a.firstSackT = r.txAt
			}
			a.lastSackT = r.txAt
		}
		if r.has(recLost) {
			r.flags &^= recLost
			s.sb.lost--
		}
	}
	s.q.unstamp(r)
	s.sb.waits.remove(r)
	r.flags |= recSacked
	r.joinRuns()
	s.sb.sacked++
	a.sacked++
	s.sb.high = maxSeq(s.sackHigh(), r.end())
	s.delivered(a, r)
	if dup && r.has(recRexmit) {
		r.flags &^= recRexmit
		s.sb.rexmit--
	}
}

// sackHigh is the end of the highest SACKed segment, una when there is none.
func (s *sender) sackHigh() Seq {
	if s.sb.sacked == 0 || s.sb.high.LT(s.una) {
		return s.una
	}
	return s.sb.high
}

package tcp

// pacer spreads segments over time for algorithms that ask for it (BBR). CUBIC and NewReno do not.
type pacer struct {
	on   bool
	rate int64 // bytes per second
	next int64 // when the next segment may leave
	wake int64 // a segment waits for next
	free uint8 // segments that still leave unpaced: the first ten of a connection, as in Linux
}

// ready says whether a segment may leave now, and sets the wake-up if not.
func (p *pacer) ready(now int64) bool {
	if !p.on || now >= p.next {
		p.wake = 0
		return true
	}
	p.wake = p.next
	return false
}

// sent takes the time of one segment of n bytes.
func (p *pacer) sent(s *sender, now int64, n int) {
	if !p.on || p.rate <= 0 || n == 0 {
		return
	}
	if p.free > 0 {
		p.free--
		return
	}
	// a late wake-up is made good for by up to half the time of this segment, so that the rate is met on average
	cost := int64(n+60) * 1e9 / p.rate
	p.next = max(p.next, now-cost/2) + cost
}

// update takes the algorithm's rate.
func (p *pacer) update(s *sender) {
	if c, ok := s.cc.(interface{ pacingRate() int64 }); ok {
		p.rate = c.pacingRate()
	}
}

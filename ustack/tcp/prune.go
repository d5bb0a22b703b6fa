package tcp

// InOrder says whether a segment begins at or before the next byte expected: its payload can go to the program at once.
func (c *Conn) InOrder(s *Segment) bool { return s.Seq.LEQ(c.rcvNxt) }

// Prune gives up the out-of-order data that is furthest away, for its frames; false when there is none. "The data
// receiver is permitted to discard data in its queue that has not been acknowledged to the data sender, even if the
// data has already been reported in a SACK option." RFC 2018 §8
func (c *Conn) Prune() bool {
	if c.ooo == nil || len(c.ooo.runs) == 0 {
		return false
	}
	c.h.MIB.OfoPruned++
	c.ooo.free(len(c.ooo.runs) - 1)
	if len(c.ooo.runs) == 0 {
		c.freeReassembly()
	}
	return true
}

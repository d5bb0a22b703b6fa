package tcp

// dsackBlock is a range to report as received twice, RFC 2883.
type dsackBlock struct {
	left, right Seq
	due         bool
}

// setDSACK notes a duplicate: "When D-SACK is used, the first block of the SACK option should be a D-SACK block specifying the
// sequence numbers for the duplicate segment that triggers the acknowledgement." RFC 2883 §4
func (c *Conn) setDSACK(left, right Seq) {
	if !c.is(flagSACK) || !c.h.Params.DSACK {
		return
	}
	if left.LT(c.rcvNxt) {
		c.h.MIB.TCPDSACKOldSent++
	} else {
		c.h.MIB.TCPDSACKOfoSent++
	}
	c.dsack = dsackBlock{left, right, true}
}

// extendDSACK notes a further part of a segment that was known. "Each duplicate contiguous sequence of data received is
// reported in at most one D-SACK block" RFC 2883 §4, and there is room for one: the first, with what touches it, as
// tcp_dsack_extend.
func (c *Conn) extendDSACK(left, right Seq) {
	switch d := &c.dsack; {
	case !d.due:
		c.setDSACK(left, right)
	case left.LEQ(d.right) && d.left.LEQ(right):
		d.left, d.right = minSeq(d.left, left), maxSeq(d.right, right)
	}
}

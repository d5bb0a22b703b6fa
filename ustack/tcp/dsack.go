package tcp

import "github.com/sluice-net/sluice/ustack/wire"

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

// around makes b the run that a duplicate lies in, and says 1: the block behind that of the duplicate tells of it, or the peer would not know
// a report of a duplicate by it (RFC 2883 §4). 0: it lies in none.
func (r *reassembly) around(d *dsackBlock, b *wire.SACKBlock) int {
	i := r.find(d.left.Add(1))
	if i == len(r.runs) || r.runs[i].seq.GT(d.left) || d.right.GT(r.endWithFIN(i)) {
		return 0
	}
	*b = wire.SACKBlock{Left: uint32(r.runs[i].seq), Right: uint32(r.endWithFIN(i))}
	return 1
}

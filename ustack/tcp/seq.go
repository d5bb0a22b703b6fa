package tcp

// Seq is a TCP sequence number.
//
// "all arithmetic dealing with sequence numbers must be performed modulo 2^32. [...] The symbol "=<" means "less than or
// equal" (modulo 2^32)." RFC 9293 §3.4
type Seq uint32

// LT says whether a comes before b, for numbers less than 2^31 apart.
func (a Seq) LT(b Seq) bool { return int32(a-b) < 0 }

// LEQ says whether a comes before b or is b.
func (a Seq) LEQ(b Seq) bool { return int32(a-b) <= 0 }

// GT says whether a comes after b.
func (a Seq) GT(b Seq) bool { return int32(a-b) > 0 }

// GEQ says whether a comes after b or is b.
func (a Seq) GEQ(b Seq) bool { return int32(a-b) >= 0 }

// Add is the number n after a; n may be negative.
func (a Seq) Add(n int) Seq { return a + Seq(n) }

// Sub is the distance from b to a, negative when a comes first.
func (a Seq) Sub(b Seq) int { return int(int32(a - b)) }

// In says whether a lies in [lo, hi).
func (a Seq) In(lo, hi Seq) bool { return a-lo < hi-lo }

func maxSeq(a, b Seq) Seq {
	if a.GT(b) {
		return a
	}
	return b
}

func minSeq(a, b Seq) Seq {
	if a.LT(b) {
		return a
	}
	return b
}

package tcp

// ecnSender is the sending half of ECN, RFC 3168 §6.1.
type ecnSender struct {
	ok        bool // both ends agreed in the handshake
	cwrQueued bool // the next new segment says CWR
}

// mark says what a segment that leaves for the first time carries. "the TCP sender sets the CWR flag in the TCP header of
// the first new data packet sent after the window reduction" RFC 3168 §6.1.2; "implementations MUST NOT set either ECT
// codepoint [...] in the IP header for retransmitted data packets" §6.1.5.
func (e *ecnSender) mark(r *txRec) (ect, cwr bool) {
	if !e.ok || r.has(recSYN) {
		return false, false
	}
	return r.n > 0, e.cwrQueued && r.n > 0
}

// reduced notes that the window was reduced, for whichever reason.
func (e *ecnSender) reduced() { e.cwrQueued = e.ok }

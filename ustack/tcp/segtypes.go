package tcp

import (
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// txSeg is one segment the sender wants on the wire. Its payload is buf.Frame()[off:off+n]; buf is nil when it carries
// no payload (SYN, bare FIN, zero-window probe).
type txSeg struct {
	seq Seq
	buf *pbuf.Buf
	off int
	n   int

	syn, fin, psh bool
	rexmit        bool // sent before
	mtu           bool // larger than the MSS: a probe of the path, RFC 4821
	probe         bool // outside of the flow: a zero-window probe, which occupies no sequence space of its own
	cwr           bool // set CWR: the congestion window was reduced, RFC 3168 §6.1.2
	ect           bool // the IP header may say ECT(0): new data only, never a retransmission, SYN or probe, RFC 3168 §6.1.4

	rec *txRec // the sender's own record, nil for a probe
}

// end is the sequence number after the segment.
func (t *txSeg) end() Seq {
	n := t.n
	if t.syn {
		n++
	}
	if t.fin {
		n++
	}
	return t.seq.Add(n)
}

// write flags, those of send(2) that the sender cares for.
const (
	writeMore  = 1 << iota // MSG_MORE: hold a partial segment back
	writeWhole             // whatever the buffer's limit
	writeNoPsh             // do not mark the end of this write with PSH
	writeEOR               // MSG_EOR: what is written later goes into segments of its own
)

// ackIn is what the sender learns from one acceptable segment with ACK set.
type ackIn struct {
	seq, ack Seq
	wnd      uint32 // the peer's window in bytes, scaled (never scaled on a SYN)
	dataLen  int    // payload bytes of the segment, +1 for SYN, +1 for FIN: such a segment is never a duplicate ACK

	hasTS bool
	tsecr uint32 // echo of our timestamp

	sack []wire.SACKBlock // as received, valid during the call

	ece bool // ECN-Echo is set, and ECN was agreed on
}

// ackOut is what the state machine learns from an ACK.
type ackOut struct {
	acked    int  // bytes of the program's data that left the queue
	sacked   int  // segments newly reported by SACK
	moved    bool // SND.UNA moved
	synAcked bool
	finAcked bool
	send     bool  // call next: something may be sendable now
	space    bool  // the program may write again (an EPOLLOUT edge)
	wndMoved bool  // the peer's window was updated
	err      error // errAckNew, errAckOld or nil; nothing else was done then
}

// timerOut is what onTimer found.
type timerOut struct {
	send  bool  // call next
	space bool  // the program may write again
	err   error // the connection has failed: ErrTimeout
	// synack says that the SYN-ACK of a connection that the SYN alone opened is to be sent again.
	synack bool
	// bad says that a retransmission timer went off often enough to doubt the route (Linux' tcp_retries1).
	bad bool
}

package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// recFlags is what is known about a record.
type recFlags uint16

const (
	recSYN     recFlags = 1 << iota // takes one number in front of the payload
	recFIN                          // takes one number behind it
	recPSH                          // ends a write of the program
	recEOR                          // nothing is added to it, nor merged with it (MSG_EOR)
	recSent                         // has left at least once
	recSacked                       // the peer has it, by SACK
	recLost                         // deemed lost
	recRexmit                       // a retransmission is on its way
	recEver                         // was retransmitted at some time
	recLimited                      // was sent while the application limited the rate
	recTimed                        // in the list in order of transmission
	recWaits                        // in the list of those to be sent again
	recTail                         // the last one of a train, when it left first
	recPacket                       // the first of what Linux would hold in one packet: it costs packetCharge
)

// txRec describes one segment of the queue: what it carries, when it left and what became of it. The frames of the
// record (payload.go) are the only copy of its bytes until they are acknowledged.
//
// tnext and tprev are its neighbours in the list that its fate puts it in: in flight, it is in order of transmission;
// lost and not sent again, in the list of those that wait for it; delivered by SACK, tnext is a later record of the same
// run, nil in the run's last.
type txRec struct {
	next, prev   *txRec // neighbours in sequence space
	tnext, tprev *txRec
	jump         *txRec // an earlier record, to find one quickly: see index.go
	buf          *pbuf.Buf
	txAt         int64 // last transmission
	first        int64 // delivery-rate sampling: start of the flight it was sent in
	delivAt      int64 // time of the delivery that the connection knew of when the record was sent
	deliv        uint32
	seq          Seq
	jumpSeq      Seq    // of jump, which may be gone
	flight       uint16 // segments in flight when it left, with it, 65,535 at most (P.tx_in_flight)
	lost         uint16 // the sender's lostMarks then, modulo 65,536 (P.lost)
	off, n       uint16
	flags        recFlags
	rexmits      uint8
	jumpRank     uint8
}

func (r *txRec) has(f recFlags) bool { return r.flags&f != 0 }

// end is the sequence number behind the record.
func (r *txRec) end() Seq {
	e := r.seq + Seq(r.n)
	if r.flags&(recSYN|recFIN) != 0 {
		e++
	}
	return e
}

// packetCharge is what a packet of Linux' queue costs the send buffer beside its bytes: sk_buff, shared info, room for headers.
// One packet holds up to 64 KB, thus many records: see packetGoal.
const packetCharge = 256 + 320 + 320

// cost is what a record costs the send buffer.
func (r *txRec) cost() int {
	if r.has(recPacket) {
		return int(r.n) + packetCharge
	}
	return int(r.n)
}

// sendQueue holds the records of a connection.
//
//	head                    unsent          tail
//	 [sent] [sent] [sacked] [not yet] [not yet]
type sendQueue struct {
	head, tail *txRec
	unsent     *txRec // first record that never left
	old, young *txRec // ends of the list in order of transmission: least recently sent, most recently sent
	mark       *txRec // the youngest in that list that left before RACK's newest delivered one; nil: not known, or none
	charge     int    // bytes the queue costs
}

func (q *sendQueue) empty() bool { return q.head == nil }

// push appends a record that was not sent.
func (q *sendQueue) push(r *txRec) {
	r.prev, r.next = q.tail, nil
	if q.tail != nil {
		q.tail.next = r
	} else {
		q.head = r
	}
	q.tail = r
	if q.unsent == nil {
		q.unsent = r
	}
}

// insertAfter puts r behind at, in both orders if at was sent.
func (q *sendQueue) insertAfter(at, r *txRec) {
	r.prev, r.next = at, at.next
	if at.next != nil {
		at.next.prev = r
	} else {
		q.tail = r
	}
	at.next = r
	if at.has(recTimed) {
		r.tprev, r.tnext = at, at.tnext
		if at.tnext != nil {
			at.tnext.tprev = r
		} else {
			q.young = r
		}
		at.tnext = r
	}
}

// leaves is the time at which r is said to leave at now. RACK_sent_after (RFC 8985 §6.2) takes of two segments of one time the one
// of the higher number for the later: a retransmission that leaves in the same turn behind new data is therefore a moment younger, or the new data's
// SACK would prove that it is lost again.
func (q *sendQueue) leaves(now int64, r *txRec) int64 {
	y := q.young
	if y == nil || y == r || y.txAt < now {
		return now
	}
	if y.end().GT(r.end()) {
		return y.txAt + 1
	}
	return y.txAt
}

// stamp makes r the most recently sent record.
func (q *sendQueue) stamp(r *txRec) {
	q.unstamp(r)
	r.flags |= recTimed
	r.tprev, r.tnext = q.young, nil
	if q.young != nil {
		q.young.tnext = r
	} else {
		q.old = r
	}
	q.young = r
}

// unstamp takes r out of the order of transmission: it was delivered or is lost.
func (q *sendQueue) unstamp(r *txRec) {
	if !r.has(recTimed) {
		return
	}
	r.flags &^= recTimed
	if q.mark == r {
		q.mark = r.tprev
	}
	if r.tprev != nil {
		r.tprev.tnext = r.tnext
	} else {
		q.old = r.tnext
	}
	if r.tnext != nil {
		r.tnext.tprev = r.tprev
	} else {
		q.young = r.tprev
	}
	r.tnext, r.tprev = nil, nil
}

// pop removes the head, which was sent.
func (q *sendQueue) pop() *txRec {
	r := q.head
	q.unstamp(r)
	q.head = r.next
	if q.head != nil {
		q.head.prev = nil
	} else {
		q.tail = nil
	}
	if q.unsent == r {
		q.unsent = r.next
	}
	return r
}

// SendMem is what all senders of a stack share: frames, the records that describe them, and counters.
type SendMem struct {
	Pool  *pbuf.Pool
	Stats SendStats
	free  *txRec
}

// NewSendMem makes the memory of senders over pool.
func NewSendMem(pool *pbuf.Pool) *SendMem { return &SendMem{Pool: pool} }

// rec takes a clean record; they are made by the hundred and never given back to the heap.
func (m *SendMem) rec() *txRec {
	if m.free == nil {
		slab := make([]txRec, 128)
		for i := range slab {
			slab[i].next, m.free = m.free, &slab[i]
		}
	}
	r := m.free
	m.free = r.next
	r.next = nil
	return r
}

// recycle takes a record and its frame back.
func (m *SendMem) recycle(r *txRec) {
	r.release()
	*r = txRec{next: m.free}
	m.free = r
}

// split cuts r so that it keeps at bytes of payload; the rest moves to a new record behind it, with its own frames,
// because the headers of the rest need room where the first part lies. When no frame is left both share one: then
// the rest is copied each time it is sent, since it does not lie where its frame starts.
func (s *sender) split(r *txRec, at int) {
	x := s.mem.rec()
	links := *x
	*x = *r
	x.next, x.prev, x.tnext, x.tprev = links.next, links.prev, nil, nil
	x.seq = r.seq.Add(at)
	x.n -= uint16(at)
	x.buf = nil
	if x.n == 0 { // the FIN alone
		x.off = 0
	} else if !s.mem.moveEnd(r, x, at) {
		r.shareEnd(x, at)
	}
	r.n = uint16(at)
	r.buf.SumEnd = 0
	r.flags &^= recFIN | recPSH | recEOR | recTail
	x.flags |= recPacket
	s.q.insertAfter(r, x)
	s.q.charge += packetCharge
	s.splitLists(r, x)
	s.sb.splitCounts(r)
}

// splitLists puts the second part of a record where the first is.
func (s *sender) splitLists(r, x *txRec) {
	if !r.has(recSent) {
		return
	}
	x.linkPart(r)
	switch {
	case r.has(recWaits):
		s.sb.waits.insertAfter(r, x)
	case r.has(recSacked):
		x.tnext, r.tnext = r.tnext, x
	}
}

// drop gives all frames back.
func (q *sendQueue) drop(m *SendMem) {
	for r := q.head; r != nil; {
		next := r.next
		m.recycle(r)
		r = next
	}
	*q = sendQueue{}
}

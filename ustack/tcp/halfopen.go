package tcp

import "github.com/sluice-net/sluice/ustack/wire"

// halfOpen is a connection in SYN-RECEIVED that came in at a listener: what the last ACK of the handshake needs, and
// nothing more.
type halfOpen struct {
	flow     Flow
	irs, iss Seq
	tsRecent uint32
	tsOff    uint32
	rcvWnd   uint32
	mtu      int32
	ifindex  int32
	queue    int32
	prev     int32
	next     int32
	sentAt   int64 // when the SYN-ACK left first
	at       int64 // when it leaves again
	oowAt    int64
	peerMSS  uint16
	sndScale uint8
	rcvScale uint8
	timeouts uint8
	flags    connFlags // what both ends agreed on
	syn      []byte    // TCP_SAVE_SYN
	acked    bool      // the last ACK came, but could not be taken (accept queue full, deferred accept)
}

// levels is the number of different waiting times for the last ACK: 1, 2, 4, ... seconds up to tcp_rto_max_ms.
const levels = 8

// synQueue holds a listener's half-open connections. Those that wait equally long are in one list, in the order of
// their deadlines, so that no timer needs a search.
//
//	level 0 (1 s): oldest -> ... -> newest
//	level 1 (2 s): oldest -> ...
type synQueue struct {
	index map[Flow]int32
	recs  []halfOpen
	free  int32 // unused records, linked by next; -1 none
	head  [levels]int32
	tail  [levels]int32
	n     int
	young int // never timed out
}

func (q *synQueue) init() {
	q.index, q.free = make(map[Flow]int32), -1
	for i := range q.head {
		q.head[i], q.tail[i] = -1, -1
	}
}

// find is the record of a flow, nil when there is none.
func (q *synQueue) find(f *Flow) (int32, *halfOpen) {
	if q.n == 0 {
		return -1, nil
	}
	i, ok := q.index[*f]
	if !ok {
		return -1, nil
	}
	return i, &q.recs[i]
}

// add puts a new record, with its deadline after wait.
func (q *synQueue) add(r *halfOpen) int32 {
	i := q.free
	if i >= 0 {
		q.free = q.recs[i].next
	} else {
		i = int32(len(q.recs))
		q.recs = append(q.recs, halfOpen{})
	}
	q.recs[i] = *r
	q.index[r.flow] = i
	q.n++
	q.young++
	q.link(i)
	return i
}

func (q *synQueue) level(r *halfOpen) int { return min(int(r.timeouts), levels-1) }

func (q *synQueue) link(i int32) {
	r := &q.recs[i]
	l := q.level(r)
	r.prev, r.next = q.tail[l], -1
	if q.tail[l] >= 0 {
		q.recs[q.tail[l]].next = i
	} else {
		q.head[l] = i
	}
	q.tail[l] = i
}

func (q *synQueue) unlink(i int32) {
	r := &q.recs[i]
	l := q.level(r)
	if r.prev >= 0 {
		q.recs[r.prev].next = r.next
	} else {
		q.head[l] = r.next
	}
	if r.next >= 0 {
		q.recs[r.next].prev = r.prev
	} else {
		q.tail[l] = r.prev
	}
}

func (q *synQueue) remove(i int32) {
	q.unlink(i)
	r := &q.recs[i]
	if r.timeouts == 0 {
		q.young--
	}
	q.n--
	delete(q.index, r.flow)
	*r = halfOpen{next: q.free}
	q.free = i
}

// deadline is when the first record is due, 0 for never.
func (q *synQueue) deadline() int64 {
	at := int64(0)
	for _, i := range q.head {
		if i >= 0 {
			at = earlier(at, q.recs[i].at)
		}
	}
	return at
}

// synack makes the header of the SYN-ACK: "<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>" RFC 9293 §3.10.7.2.
func (r *halfOpen) synack(now int64, h *Header, mss uint16) {
	h.Flags, h.Seq, h.Ack = wire.SYN|wire.ACK, r.iss, r.irs.Add(1)
	h.Wnd = uint16(min(r.rcvWnd, 65535))
	o := &h.Opts
	o.Set, o.MSS = wire.HasMSS, mss
	if r.flags&flagTS != 0 {
		o.Set |= wire.HasTimestamp
		o.TSVal, o.TSEcr = tsVal(now, r.tsOff), r.tsRecent
	}
	if r.flags&flagSACK != 0 {
		o.Set |= wire.HasSACKPerm
	}
	if r.flags&flagWScale != 0 {
		o.Set |= wire.HasWScale
		o.WScale = r.rcvScale
	}
	if r.flags&flagECN != 0 {
		h.Flags |= wire.ECE
	}
}

// ack makes the header of an ACK to a segment outside of the window.
func (r *halfOpen) ack(now int64, h *Header) {
	h.Flags, h.Seq, h.Ack = wire.ACK, r.iss.Add(1), r.irs.Add(1)
	h.Wnd = uint16(min(r.rcvWnd>>r.rcvScale, 65535))
	if r.flags&flagTS != 0 {
		h.Opts.Set = wire.HasTimestamp
		h.Opts.TSVal, h.Opts.TSEcr = tsVal(now, r.tsOff), r.tsRecent
	}
}

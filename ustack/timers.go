package ustack

import "github.com/sluice-net/sluice/ustack/pbuf"

// timers is a heap of deadlines, four children to a node: shallow, and a node's children share a cache line.
//
// Most deadlines move later with every ACK. The heap is lazy about that: a timer that moved later stays where it is
// and is looked at again when it comes to the top, so an ACK costs a comparison. Setting an earlier one moves it up.
//
// With many connections each step costs a cache miss, so memory is parted by who looks at it. What an ACK looks at is in the
// endpoint (timer), which is at hand: a timer that moves later touches nothing else. What a node's move looks at is in
// entries, so that it does not touch endpoints which have nothing to do with the present packet.
type timers struct {
	heap    []timerNode
	entries []timerEntry // by timerID, from 1 on
	spare   []timerID
}

type timerNode struct {
	at int64 // never later than the timer's real deadline
	id timerID
}

type timerEntry struct {
	e   *endpoint
	pos int32 // index in the heap
}

// timer is the endpoint's part.
type timer struct {
	deadline int64   // 0: none
	at       int64   // its node's
	id       timerID // its entry, 0 while it has no place in the heap
}

type timerID int32

// set makes at the deadline of e, 0 for none.
func (t *timers) set(e *endpoint, at int64) {
	x := &e.timer
	if x.id == 0 {
		if at != 0 {
			t.add(e, at)
		}
		return
	}
	x.deadline = at
	if at != 0 && at < x.at { // else it stays until it comes to the top
		i := int(t.entry(x.id).pos)
		x.at, t.heap[i].at = at, at
		t.up(i)
	}
}

func (t *timers) add(e *endpoint, at int64) {
	e.timer = timer{deadline: at, at: at}
	if n := len(t.spare); n > 0 {
		e.timer.id, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		t.entries = append(t.entries, timerEntry{})
		e.timer.id = timerID(len(t.entries))
	}
	*t.entry(e.timer.id) = timerEntry{e: e, pos: int32(len(t.heap))}
	t.heap = append(t.heap, timerNode{at, e.timer.id})
	t.up(len(t.heap) - 1)
}

func (t *timers) entry(id timerID) *timerEntry { return &t.entries[id-1] }

// stop takes a timer out at once.
func (t *timers) stop(e *endpoint) {
	id := e.timer.id
	if id == 0 {
		return
	}
	i, last := int(t.entry(id).pos), len(t.heap)-1
	*t.entry(id) = timerEntry{}
	t.spare = append(t.spare, id)
	e.timer = timer{}
	moved := t.heap[last]
	t.heap = t.heap[:last]
	if i < last {
		t.place(i, moved)
		t.down(i)
		t.up(int(t.entry(moved.id).pos))
	}
}

// next is the earliest real deadline, 0 for none; stale nodes above it are put where they belong.
func (t *timers) next() int64 {
	for len(t.heap) > 0 {
		e := t.entry(t.heap[0].id).e
		switch d := e.timer.deadline; {
		case d == 0:
			t.stop(e)
		case d > t.heap[0].at:
			e.timer.at, t.heap[0].at = d, d
			t.down(0)
			t.foresee()
		default:
			return d
		}
	}
	return 0
}

// foresee begins to bring in the endpoints that next is likely to look at soon: some packets will come before it does.
func (t *timers) foresee() {
	if len(t.heap) < foreseen {
		return
	}
	for i := range t.heap[:5] {
		pbuf.Fetch(&t.entry(t.heap[i].id).e.timer)
	}
}

// due takes out one endpoint whose deadline has come, nil when there is none.
func (t *timers) due(now int64) *endpoint {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return nil // no deadline is earlier than its node says
	}
	if d := t.next(); d == 0 || d > now {
		return nil
	}
	e := t.entry(t.heap[0].id).e
	t.stop(e)
	return e
}

func (t *timers) place(i int, n timerNode) {
	t.heap[i] = n
	t.entry(n.id).pos = int32(i)
}

func (t *timers) up(i int) {
	n := t.heap[i]
	for i > 0 {
		p := (i - 1) / 4
		if t.heap[p].at <= n.at {
			break
		}
		t.place(i, t.heap[p])
		i = p
	}
	t.place(i, n)
}

func (t *timers) down(i int) {
	n := t.heap[i]
	for {
		least := 0
		for c := 4*i + 1; c <= 4*i+4 && c < len(t.heap); c++ {
			if least == 0 || t.heap[c].at < t.heap[least].at {
				least = c
			}
		}
		if least == 0 || t.heap[least].at >= n.at {
			break
		}
		t.place(i, t.heap[least])
		i = least
	}
	t.place(i, n)
}

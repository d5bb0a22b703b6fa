package ustack

// timers is a heap of deadlines, four children to a node: shallow, and a node's children share a cache line.
//
// Most deadlines move later with every ACK. The heap is lazy about that: a timer that moved later stays where it is
// and is looked at again when it comes to the top, so an ACK costs a comparison. Setting an earlier one moves it up.
type timers struct{ heap []timerNode }

type timerNode struct {
	at int64 // never later than the endpoint's real deadline
	e  *endpoint
}

// timer is the endpoint's part: its place in the heap and its real deadline.
type timer struct {
	deadline int64 // 0: none
	pos      int32 // 1 + index in the heap, 0: not there
}

// set makes at the deadline of e, 0 for none.
func (t *timers) set(e *endpoint, at int64) {
	e.timer.deadline = at
	if at == 0 {
		return // stays until it comes to the top
	}
	if e.timer.pos == 0 {
		t.heap = append(t.heap, timerNode{at, e})
		e.timer.pos = int32(len(t.heap))
		t.up(len(t.heap) - 1)
		return
	}
	if i := int(e.timer.pos) - 1; at < t.heap[i].at {
		t.heap[i].at = at
		t.up(i)
	}
}

// stop takes a timer out at once.
func (t *timers) stop(m *timer) {
	m.deadline = 0
	if m.pos == 0 {
		return
	}
	i, last := int(m.pos)-1, len(t.heap)-1
	m.pos = 0
	moved := t.heap[last]
	t.heap[last] = timerNode{}
	t.heap = t.heap[:last]
	if i < last {
		t.place(i, moved)
		t.down(i)
		t.up(int(moved.e.timer.pos) - 1)
	}
}

// next is the earliest real deadline, 0 for none; stale nodes above it are put where they belong.
func (t *timers) next() int64 {
	for len(t.heap) > 0 {
		top := t.heap[0]
		switch d := top.e.timer.deadline; {
		case d == 0:
			t.stop(&top.e.timer)
		case d > top.at:
			t.heap[0].at = d
			t.down(0)
		default:
			return d
		}
	}
	return 0
}

// due takes out one endpoint whose deadline has come, nil when there is none.
func (t *timers) due(now int64) *endpoint {
	if d := t.next(); d == 0 || d > now {
		return nil
	}
	e := t.heap[0].e
	t.stop(&e.timer)
	return e
}

func (t *timers) place(i int, n timerNode) {
	t.heap[i] = n
	n.e.timer.pos = int32(i + 1)
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

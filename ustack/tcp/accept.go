package tcp

// acceptQueue is a ring of established connections, oldest first.
type acceptQueue struct {
	ring []*Conn
	at   int
	n    int
}

func (q *acceptQueue) push(c *Conn) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.at+q.n)%len(q.ring)] = c
	q.n++
	c.set(flagQueued)
}

func (q *acceptQueue) grow() {
	ring := make([]*Conn, max(8, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.at+i)%len(q.ring)]
	}
	q.ring, q.at = ring, 0
}

func (q *acceptQueue) pop() *Conn {
	if q.n == 0 {
		return nil
	}
	c := q.ring[q.at]
	q.ring[q.at] = nil
	q.at = (q.at + 1) % len(q.ring)
	q.n--
	c.clear(flagQueued)
	return c
}

// remove takes one out of the middle.
func (q *acceptQueue) remove(c *Conn) bool {
	for i := range q.n {
		if q.ring[(q.at+i)%len(q.ring)] != c {
			continue
		}
		for ; i < q.n-1; i++ {
			q.ring[(q.at+i)%len(q.ring)] = q.ring[(q.at+i+1)%len(q.ring)]
		}
		q.n--
		q.ring[(q.at+q.n)%len(q.ring)] = nil
		c.clear(flagQueued)
		return true
	}
	return false
}

// Accept takes the oldest established connection, nil when there is none. It may have ended already: accept(2) returns
// it all the same, and reading tells.
func (l *Listener) Accept(now int64) *Conn {
	c := l.done.pop()
	if c != nil && c.halfFast() {
		c.rare.accepted = true
	}
	return c
}

// Take takes a connection out of the accept queue that is to be given away instead; false when it is not there.
func (l *Listener) Take(c *Conn) bool { return l.done.remove(c) }

// Full says that the accept queue takes no more.
func (l *Listener) Full() bool { return l.acceptFull() }

// Push puts an adopted connection into the accept queue; false when it is full.
func (l *Listener) Push(c *Conn) bool {
	if l.acceptFull() {
		return false
	}
	l.done.push(c)
	if l.Owner != nil {
		l.Owner.TCPEvent(true, false)
	}
	return true
}

// Waiting is how many established connections were not accepted yet; Each calls f for them, oldest first, until it
// says false. f must not change the queue.
func (l *Listener) Waiting() int { return l.done.n }

// Each calls f for the connections not accepted yet, oldest first, until it says false. f must not change the queue.
func (l *Listener) Each(f func(*Conn) bool) {
	for i := range l.done.n {
		if !f(l.done.ring[(l.done.at+i)%len(l.done.ring)]) {
			return
		}
	}
}

// Backlog is the bound of both queues, minus one.
func (l *Listener) Backlog() int { return l.backlog }

// HalfOpen is how many connections that came in over a device's queue wait for the handshake's last ACK. A queue can be
// given up without a client noticing once there are none. Those that a SYN alone opened count for every queue.
func (l *Listener) HalfOpen(ifindex, queue int) int {
	n := l.fast.n - len(l.fast.rst)
	for _, head := range l.half.head {
		for i := head; i >= 0; i = l.half.recs[i].next {
			if r := &l.half.recs[i]; int(r.ifindex) == ifindex && int(r.queue) == queue {
				n++
			}
		}
	}
	return n
}

// Opening tells whether a connection waits for the handshake's last ACK.
func (l *Listener) Opening(f Flow) bool {
	_, r := l.half.find(&f)
	return r != nil
}

// HalfOpens is how many connections wait for the handshake's last ACK in all.
func (l *Listener) HalfOpens() int { return l.half.n }

// Close ends the listener. Half-open connections are forgotten, those not accepted are reset, as the kernel does.
func (l *Listener) Close(now int64, out Out) {
	l.half.init()
	l.half.recs, l.half.n, l.half.young = nil, 0, 0
	l.fast = fastQueue{}
	for c := l.done.pop(); c != nil; c = l.done.pop() {
		c.Abort(now)
		c.Output(now, out)
	}
}

package ustack

// blocked are the connections that have segments and found no room for them in the pool or in a transmit ring, the one that waits
// longest first.
type blocked struct {
	q    []*endpoint
	head int // of q, the first that is in use
	vain int // how many were tried without success since there was room last
}

func (b *blocked) n() int { return len(b.q) - b.head }

func (b *blocked) push(e *endpoint) { b.q = append(b.q, e) }

func (b *blocked) pop() *endpoint {
	e := b.q[b.head]
	b.q[b.head] = nil
	if b.head++; 2*b.head >= len(b.q) {
		n := copy(b.q, b.q[b.head:])
		clear(b.q[n:])
		b.q, b.head = b.q[:n], 0
	}
	return e
}

// retryBatch is how many are tried without success before the others wait for the next turn.
const retryBatch = 64

// hasRoom notes that a transmit ring or the pool has room again.
func (s *Stack) hasRoom() { s.room, s.blocked.vain = true, 0 }

// unblock lets blocked connections try again: all of them, or as long as some find room. A turn does so not cost more for each
// one that waits. Those behind a batch without success may wait for another ring, so the next turn goes on with them (room stays
// true) until each was tried once.
func (s *Stack) unblock(now int64, all bool) {
	b := &s.blocked
	for left := b.n(); left > 0; {
		n := min(left, retryBatch)
		rest := b.n() - n
		for range n {
			e := b.pop()
			e.flags &^= inBlocked
			s.activate(e)
		}
		s.settle(now)
		left -= n
		if again := b.n() - rest; again < n || all {
			b.vain = 0
			continue
		}
		if b.vain += n; b.vain < b.n() {
			s.room = true
		} else {
			b.vain = 0
		}
		return
	}
}

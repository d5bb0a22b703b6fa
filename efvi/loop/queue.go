package loop

// queue is a ring of fixed size between two free-running indices.
type queue[T any] struct {
	entries    []T
	head, tail uint32
}

func newQueue[T any](size int) queue[T] { return queue[T]{entries: make([]T, size)} }

func (q *queue[T]) len() int   { return int(q.head - q.tail) }
func (q *queue[T]) room() int  { return len(q.entries) - q.len() }
func (q *queue[T]) full() bool { return q.len() == len(q.entries) }

func (q *queue[T]) push(v T) bool {
	if q.full() {
		return false
	}
	q.entries[q.head&uint32(len(q.entries)-1)] = v
	q.head++
	return true
}

func (q *queue[T]) pop() (v T, ok bool) {
	if q.len() == 0 {
		return v, false
	}
	v = q.entries[q.tail&uint32(len(q.entries)-1)]
	q.tail++
	return v, true
}

// first is what pop would take; there must be something.
func (q *queue[T]) first() T { return q.entries[q.tail&uint32(len(q.entries)-1)] }

package engine

import "github.com/sluice-net/sluice/ustack/usock"

// quarantine is how many numbers are free before one is used again: a process that remembers a closed handle (a forked child)
// must not meet another connection under its number soon.
const quarantine = 1024

// object is what a handle names: a connection, or a listener (lis set).
type object struct {
	sock *usock.Socket
	lis  *listener
	out  *flow // of an active open: what the broker steers for it
	slot int32 // in the state table, -1 none
	open bool

	// Edges of an earlier user of the number, since the C side's never go back.
	baseIn, baseOut uint32
}

// table gives out handle numbers, lowest first, freed ones again after a while.
type table struct {
	objects []object
	freed   []int32 // a queue: oldest at head
	head    int
}

func (t *table) waiting() int { return len(t.freed) - t.head }

// take returns a number, or -1 when all are in use.
func (t *table) take() int32 {
	fresh := len(t.objects) < MaxHandles
	if t.waiting() > quarantine || (!fresh && t.waiting() > 0) {
		h := t.freed[t.head]
		if t.head++; t.head == len(t.freed) || t.head >= 2*quarantine {
			t.freed = t.freed[:copy(t.freed, t.freed[t.head:])]
			t.head = 0
		}
		return h
	}
	if !fresh {
		return -1
	}
	t.objects = append(t.objects, object{})
	return int32(len(t.objects) - 1)
}

func (t *table) put(h int32) {
	t.objects[h] = object{}
	t.freed = append(t.freed, h)
}

// at returns the open object of a number, nil if there is none.
func (t *table) at(h int32) *object {
	if h < 0 || int(h) >= len(t.objects) || !t.objects[h].open {
		return nil
	}
	return &t.objects[h]
}

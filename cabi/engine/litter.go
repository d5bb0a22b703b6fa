package engine

import "runtime/debug"

// leastLitter is how many octets moves may copy before what they left is given back: Go's collector by itself waits for 16 MiB at least
// (its least heap of 4 MiB by SetGCPercent), and keeps for minutes what it frees.
const leastLitter = 4 << 20

// littered counts octets that a move copied, and has the memory given back when they are many, and as many as what is in use. Nothing waits for it.
func (e *Engine) littered(octets int) {
	e.litter += octets
	if e.litter < leastLitter {
		return
	}
	if _, inUse := runtimeGauges(); uint64(e.litter) < inUse {
		return
	}
	e.litter = 0
	go debug.FreeOSMemory()
}

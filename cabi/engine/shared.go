// Package engine is what the C border (package cabi) calls: handles, readiness, the broker's client and hand-overs around
// one user stack. It holds no C, so that it is tested as any Go package.
//
// Everything runs in the calling thread under one lock; there is no goroutine. The program's threads enter through the
// methods of Engine that carry the names of cabi.h's functions, where each one's effect and errors are told.
package engine

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/ustack"
)

// Sizes of the shared memory, as in cabi.h.
const (
	MaxHandles = 131072
	maxRings   = 64
	maxNotes   = 32
	noteText   = 248
	maxOwn     = 256
	plains     = 256
)

// Values of Word.Moved and results beside -errno, as in cabi.h.
const (
	Gone     = 0xffffffff
	Moved    = -10000
	Kernel   = -10001
	KernelFD = 0x40000000
	Staged   = 0x10000000
	Corked   = 0x08000000
	Deferred = 0x20000000
	Fresh    = 1
	Chosen   = 2
	Blocks   = 4
	Turn     = 0x04000000
	AtMark   = 0x01000000
)

// Word is struct sl_word.
type Word struct{ Ready, EdgeIn, EdgeOut, Moved atomic.Uint32 }

// Ring is struct sl_ring: addresses of mapped ring memory.
type Ring struct {
	Prod, Cons              atomic.Uintptr
	TxProd, TxCons, TxFlags atomic.Uintptr
	TxFD                    atomic.Int32
	Kickers, Kicking        atomic.Uint32
	Desc, Frames            atomic.Uintptr
	Mask, TxMask            atomic.Uint32
	TxDesc                  atomic.Uintptr
}

// Plain is struct sl_plain.
type Plain struct {
	Handle, Grants         atomic.Uint32
	Ring, Partial          uint32
	RcvNxt, SndUna, SndNxt uint32
	TSRecent, TSOffset     uint32
	Room, Most, Queued     uint32
	Window                 uint32
	PeerWindow, PeerScale  uint32
	Payload                uint32
	At, Data, Frame        uint64
	Taken, Read, Sent, _   uint32
	SentAt                 uint64
	Head                   [ustack.PlainHead]byte
	_                      [6]byte
}

// Note is struct sl_note.
type Note struct {
	Level, _ uint32
	Text     [noteText]byte
}

// Shared is struct sl_shared; package cabi holds the two against each other when it is compiled.
type Shared struct {
	Words [MaxHandles]Word

	ChangedHead, ChangedTail atomic.Uint32
	Changed, Queued          [MaxHandles]atomic.Uint32

	Deadline, Entered atomic.Int64

	WakeFD int32
	Rings  atomic.Uint32
	Ring   [maxRings]Ring

	Handles, Dead atomic.Uint32

	NotesTail atomic.Uint32
	Notes     [maxNotes]Note

	OwnChanges atomic.Uint32
	Own        [maxOwn]atomic.Uint32

	Crossings, Turns, RxPackets, TxPackets, Handovers, Panics uint64

	Wish atomic.Uint32

	FDs [MaxHandles]atomic.Int32

	RingChanges atomic.Uint32

	Spins, Sleeps, Kicks atomic.Uint64

	PlainLock, PlainOn, PlainUsed atomic.Uint32
	PlainDone                     [plains]uint32
	_                             uint32
	PlainReads, PlainSends        uint64
	Plain                         [plains]Plain

	Token [32]byte

	Starved atomic.Uint32

	Unanswered atomic.Uint32
}

// changed lists a handle for the C side, unless it is listed already.
func (s *Shared) changed(h int32) {
	if s.Queued[h].Swap(1) != 0 {
		return
	}
	tail := s.ChangedTail.Load()
	s.Changed[tail%MaxHandles].Store(uint32(h))
	s.ChangedTail.Store(tail + 1)
}

// note leaves a line for the program's log.
func (s *Shared) note(level uint32, text string) {
	tail := s.NotesTail.Load()
	n := &s.Notes[tail%maxNotes]
	n.Level = level
	k := copy(n.Text[:noteText-1], text)
	n.Text[k] = 0
	s.NotesTail.Store(tail + 1)
}

// own lists a descriptor as the engine's; disown undoes it. A full list only loses the hiding.
func (s *Shared) own(fd int) {
	for i := range s.Own {
		if s.Own[i].CompareAndSwap(0, uint32(fd)+1) {
			s.OwnChanges.Add(1)
			return
		}
	}
}

func (s *Shared) disown(fd int) {
	for i := range s.Own {
		if s.Own[i].CompareAndSwap(uint32(fd)+1, 0) {
			s.OwnChanges.Add(1)
			return
		}
	}
}

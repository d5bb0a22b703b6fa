package proto

import (
	"fmt"
	"sync/atomic"
)

// EventKind says what happened to a connection.
type EventKind uint8

// Events of a connection's history, and what their arguments are.
const (
	EventState      EventKind = iota + 1 // another state: from, to (of include/net/tcp_states.h; from 0: it began)
	EventRetransmit                      // segments were sent again: how many by now, modulo 4096
	EventTimeout                         // the retransmission timer went off, and a segment was sent again: how often in a row
	EventCongestion                      // another congestion state: from, to (TCP_CA_* of include/uapi/linux/tcp.h)
	EventPeerWindow                      // the peer's receive window: 0 it closed, 1 it opened
	EventOwnWindow                       // ours: 0 it closed, the program does not read; 1 it opened
	EventTakenOver                       // the connection came from the kernel
	EventHandedOver                      // it went to the kernel, or to another process
	eventKinds
)

var eventNames = [eventKinds]string{"?", "state", "retransmit", "timeout", "congestion", "peer-window", "own-window", "taken-over", "handed-over"}

// String is the kind's name.
func (k EventKind) String() string {
	if k < eventKinds {
		return eventNames[k]
	}
	return eventNames[0]
}

// MarshalText is for JSON.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is one. At is nanoseconds of CLOCK_MONOTONIC, as exact as a microsecond.
type Event struct {
	At   int64     `json:"at_ns"`
	Kind EventKind `json:"kind"`
	From uint8     `json:"from,omitempty"` // 0 to 15
	To   uint8     `json:"to,omitempty"`   // 0 to 15
	N    uint16    `json:"n,omitempty"`    // instead of From and To: 0 to 4095
}

// EventsKept is how many events of a connection there are room for: the last ones.
const EventsKept = 14

// history is the ring of the connection in the slot of the same number. The engine writes; after the program was killed it is still there.
// An event is one word, so none is ever read half; begun and next tell a reader which words were overwritten while it read:
//
//	word: 0 microseconds modulo 2^44 (half a year)    44 from or low bits of N    48 to    52 high bits of N    56 kind
type history struct {
	first  atomic.Uint32 // number of the slot's present connection's first event
	begun  atomic.Uint32 // number of the event to come, counted up before its word is written,
	next   atomic.Uint32 // and after
	_      uint32
	events [EventsKept]atomic.Uint64 // event k is at k modulo EventsKept
}

const (
	historyClock = 44
	historyMask  = 1<<historyClock - 1
)

func (e *Event) word() uint64 {
	args := uint64(e.From&15) | uint64(e.To&15)<<4
	if e.N != 0 {
		args = uint64(e.N & 0xfff)
	}
	return uint64(e.At/1000)&historyMask | args<<historyClock | uint64(e.Kind)<<56
}

// event is a word's; now is a time a little later than it.
func event(word uint64, now int64) Event {
	e := Event{Kind: EventKind(word >> 56)}
	us := now / 1000
	e.At = (us - (us-int64(word&historyMask))&historyMask) * 1000
	switch args := uint16(word>>historyClock) & 0xfff; e.Kind {
	case EventRetransmit, EventTimeout:
		e.N = args
	default:
		e.From, e.To = uint8(args)&15, uint8(args>>4)&15
	}
	return e
}

// Happened notes an event of the connection in slot i; -1 is ignored. Retransmissions in a row are one event: the last.
func (m *StateMap) Happened(i int32, e Event) {
	if i < 0 {
		return
	}
	h := &m.histories[i]
	n := h.next.Load()
	if last := &h.events[(n-1)%EventsKept]; e.Kind == EventRetransmit && n != h.first.Load() && EventKind(last.Load()>>56) == EventRetransmit {
		last.Store(e.word())
		return
	}
	h.begun.Store(n + 1)
	h.events[n%EventsKept].Store(e.word())
	h.next.Store(n + 1)
}

// begin makes that what is in slot i from now on is another connection's.
func (m *StateMap) begin(i int32) { h := &m.histories[i]; h.first.Store(h.next.Load()) }

// History are the last events of slot i, oldest first, and how many there were before them. now is nanoseconds of CLOCK_MONOTONIC, after the
// last event. It fails if the slot got another connection meanwhile.
func (m *StateMap) History(i int, now int64) (events []Event, before int, err error) {
	if i < 0 || i >= len(m.histories) {
		return nil, 0, fmt.Errorf("no slot %d", i)
	}
	h := &m.histories[i]
	first, next := h.first.Load(), h.next.Load()
	n := min(next-first, EventsKept)
	var words [EventsKept]uint64
	for k := range n {
		words[k] = h.events[(next-n+k)%EventsKept].Load()
	}
	if h.first.Load() != first {
		return nil, 0, fmt.Errorf("the connection ended meanwhile")
	}
	lost := min(h.begun.Load()-next, n) // overwritten while this read: the oldest ones
	for _, w := range words[lost:n] {
		events = append(events, event(w, now))
	}
	return events, int(next - first - n + lost), nil
}

// History asks for the memory with the histories of a process's connections (StateMap), to read.
type History struct {
	Pid  int  `json:"pid,omitempty"`  // with Dead 0: the last one
	Dead bool `json:"dead,omitempty"` // of a process that ended with connections open
}

// Histories is the answer. The last four are told of dead ones only.
type Histories struct {
	Pid     int    `json:"pid"`
	Program string `json:"program"`
	Time    int64  `json:"time,omitempty"`  // when it ended: ns since 1970
	Clock   int64  `json:"clock,omitempty"` // ns of CLOCK_MONOTONIC then
	Why     string `json:"why,omitempty"`
	Left    int    `json:"left,omitempty"` // connections it had
}

package efvi

import "errors"

// ErrBusy is what Flush returns when the device could not take all that is queued.
var ErrBusy = errors.New("device busy")

// FrameSize is the size in bytes of every frame of a Memory.
const FrameSize = 4096

// Memory is the registered memory of a protection domain. Its length is a multiple of FrameSize.
type Memory struct{ Bytes []byte }

// Frames is how many frames the memory holds.
func (m Memory) Frames() uint32 { return uint32(len(m.Bytes) / FrameSize) }

// Frame returns the whole of frame i.
func (m Memory) Frame(i uint32) []byte {
	at := int(i) * FrameSize
	return m.Bytes[at : at+FrameSize : at+FrameSize]
}

// Data returns the bytes that an RX event tells of.
func (m Memory) Data(e Event) []byte { return m.Frame(e.Frame)[e.Off : e.Off+e.Len] }

// EventKind says what happened to a frame.
type EventKind uint32

const (
	// EventRX: a packet of Len bytes lies at Off in the frame, which is ours now.
	EventRX EventKind = iota + 1
	// EventTX: the device has done with a frame we sent; it is ours again.
	EventTX
	// EventDiscard: a posted frame came back without a packet that can be used.
	EventDiscard
	// EventPart: as EventRX, but the packet goes on in the frame of the next EventPart or EventRX, which is its end. Only a VI
	// whose Info has an MTU above what a frame holds, or to whose device the kernel joins packets, tells it.
	EventPart
)

// MaxParts is in how many frames a packet that is sent may lie. MaxPartsIn is the same of a received one, which the kernel may have joined from
// several, or not cut yet: 64 KiB of IP and the Ethernet header, in frames that have 256 bytes in front of the data.
const (
	MaxParts   = 3
	MaxPartsIn = 18
)

// Event tells that a frame changed hands. Off and Len are bytes, and only set for EventRX and EventPart.
type Event struct {
	Kind            EventKind
	Frame, Off, Len uint32
}

// Whole collects packets out of the events of a VI: Add returns one when it is complete, valid until the next call, and nil for every
// other event.
type Whole struct{ b []byte }

// Add takes the next event.
func (w *Whole) Add(m Memory, e Event) []byte {
	switch {
	case e.Kind == EventPart:
		w.b = append(w.b, m.Data(e)...)
		return nil
	case e.Kind != EventRX:
		return nil
	case len(w.b) == 0:
		return m.Data(e)
	}
	p := append(w.b, m.Data(e)...)
	w.b = p[:0]
	return p
}

// Info describes the queue behind a VI.
type Info struct {
	Device  string  // name of the interface in its network namespace
	Ifindex int     // its number there
	Queue   int     // which of its receive queues
	Queues  int     // how many it has; 0: not known
	MAC     [6]byte // its address
	MTU     int     // bytes of IP packet, without the Ethernet header; what comes in may be longer, up to MaxPartsIn frames
	VLAN    uint16  // identifier of the IEEE 802.1Q tag that its frames carry, 0 for none

	MaxBurst int // most bytes of payload that a Burst may have; 0: the VI takes none

	ZeroCopy bool // the device reads and writes our frames itself
	Native   bool // XDP runs in the driver, not on the kernel's generic path

	// PartialChecksum says that packets from the same host may come without a finished TCP
	// checksum: the field then holds the folded sum of the pseudo header, not complemented.
	// So it is on veth and virtio, where the kernel leaves the sum to a device that has no wire.
	PartialChecksum bool
	Times           Times // of packets: see Timed

	// OwnChecksum says that what is sent must have finished TCP checksums: nothing behind the VI would finish them.
	OwnChecksum bool
	// TxChecksum says that the device finishes TCP checksums: the VI is a Summer.
	TxChecksum bool
}

// SumRoom is how many bytes in front of a packet SendSum writes over.
const SumRoom = 24

// Summer is a VI whose device can finish checksums.
type Summer interface {
	// SendSum is Send for a packet whose checksum field, at start+field bytes of it, holds the folded sum of the pseudo
	// header alone, not complemented: the device adds what lies from start to the packet's end.
	SendSum(frame, off, n uint32, start, field uint16) bool
}

// Part is n bytes at off in a frame.
type Part struct{ Frame, Off, N uint32 }

// Gatherer is a VI that sends packets of up to MaxParts frames, if its Info has an MTU above what a frame holds.
type Gatherer interface {
	// Gather is Send for a packet whose bytes lie in parts, one behind the other; each frame stays with the device until its own
	// EventTX. In front of each part SumRoom bytes of its frame must be free. With field > 0 it is SendSum.
	Gather(parts []Part, start, field uint16) bool
}

// VI is one receive and one transmit queue over a Memory.
type VI interface {
	// Info tells what the VI is bound to.
	Info() Info
	// Post gives empty frames to the receive side and says how many of them, from the first
	// on, were taken; the others still belong to the caller.
	Post(frames []uint32) int
	// Poll writes what happened since the last call to ev, at most len(ev) events, and says
	// how many. It never blocks and makes no system call. The frames of one packet are told of by one call, for which ev
	// should have room for 2*MaxPartsIn events.
	Poll(ev []Event) int
	// Send queues n bytes at off in frame for transmission. The frame stays with the device
	// until its EventTX. False means that the ring is full: the frame is still the caller's.
	Send(frame, off, n uint32) bool
	// Flush makes the device look at all that was queued, by one system call if any. With nothing
	// to do it is cheap, so it may be called at every turn. An error loses nothing: what was
	// queued stays queued and the next Flush tries again. ErrBusy passes by itself.
	Flush() error
	// FD is a descriptor that polls readable when packets wait, or -1.
	FD() int
	// Close gives the queue back. Frames in flight are lost to the VI; their memory is not.
	Close() error
}

// Package mirror shows the packets of a VI to somebody else, through a ring in shared memory: `sluice tcpdump`. Who looks decides when it
// begins and ends; one who reads too slowly, or not at all, loses packets, which are counted, and holds nobody up.
//
//	the engine            shared memory                              the reader
//	VI ── Writer ──► | head, tail, dropped | record record record … | ──► Reader
package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sluice-net/sluice/efvi/watch"
)

// The ring's memory: a page with the header, then data whose size is a power of two.
//
//	0    magic, version, size of the data (uint64), snapshot length (uint32)
//	64   head     bytes ever written; the writer's
//	128  tail     bytes ever read; the reader's
//	192  dropped  packets that found no room; the writer's
//
// A record starts at a multiple of 8 and never wraps: a skip record fills the end.
//
//	0 length of all, a multiple of 8   4 captured   8 on the wire   12 direction (0: skip)
//	16 time (ns since 1970)   24 interface   28 queue   32 the packet
const (
	magic      = 0x534c4d52 // "SLMR"
	version    = 1
	headerSize = 4096
	recordHead = 32
)

type header struct {
	magic, version uint32
	size           uint64
	snap           uint32
	_              [11]uint32
	head           atomic.Uint64
	_              [7]uint64
	tail           atomic.Uint64
	_              [7]uint64
	dropped        atomic.Uint64
}

// Packet is one record. Data is valid until the next call to the Reader.
type Packet struct {
	Time      int64 // ns since 1970
	Direction watch.Direction
	Ifindex   uint32
	Queue     uint32
	Wire      int // length on the wire
	Data      []byte
}

// Writer is the engine's end. It belongs to one thread at a time.
type Writer struct {
	mem  []byte
	h    *header
	data []byte
	head uint64
	tail uint64 // the reader's, as of when room was short last
	snap int
}

// Put writes a packet down, or counts it as dropped.
func (w *Writer) Put(now int64, dir watch.Direction, ifindex, queue uint32, p []byte) {
	keep := min(len(p), w.snap)
	n := uint64(recordHead+keep+7) &^ 7
	at := w.head & uint64(len(w.data)-1)
	skip := uint64(0)
	if rest := uint64(len(w.data)) - at; rest < n {
		skip = rest
	}
	if w.head+skip+n-w.tail > uint64(len(w.data)) {
		w.tail = w.h.tail.Load()
		if w.head+skip+n-w.tail > uint64(len(w.data)) || w.tail > w.head {
			w.h.dropped.Add(1)
			return
		}
	}
	le := binary.NativeEndian
	if skip > 0 {
		b := w.data[at:]
		le.PutUint32(b, uint32(skip))
		if skip >= 16 {
			le.PutUint32(b[12:], 0)
		}
		at = 0
	}
	b := w.data[at : at+n]
	le.PutUint32(b, uint32(n))
	le.PutUint32(b[4:], uint32(keep))
	le.PutUint32(b[8:], uint32(len(p)))
	le.PutUint32(b[12:], uint32(dir))
	le.PutUint64(b[16:], uint64(now))
	le.PutUint32(b[24:], ifindex)
	le.PutUint32(b[28:], queue)
	copy(b[recordHead:], p[:keep])
	w.head += skip + n
	w.h.head.Store(w.head)
}

// Reader is the other end. It trusts the writer with nothing: what it returns is a copy that was checked.
type Reader struct {
	mem  []byte
	h    *header
	data []byte
	tail uint64
	buf  []byte
}

var errCorrupt = errors.New("mirror: the ring makes no sense")

// Next returns the next packet; false: none now.
func (r *Reader) Next(p *Packet) (bool, error) {
	for {
		have := r.h.head.Load() - r.tail
		if have == 0 {
			return false, nil
		}
		at := r.tail & uint64(len(r.data)-1)
		if have > uint64(len(r.data)) || have%8 != 0 {
			return false, errCorrupt
		}
		n := uint64(binary.NativeEndian.Uint32(r.data[at:]))
		if n == 0 || n%8 != 0 || n > have || n > uint64(len(r.data))-at {
			return false, errCorrupt
		}
		if n >= recordHead {
			r.buf = append(r.buf[:0], r.data[at:at+n]...)
		} else {
			r.buf = r.buf[:0]
		}
		r.tail += n
		r.h.tail.Store(r.tail)
		if len(r.buf) == 0 || binary.NativeEndian.Uint32(r.buf[12:]) == 0 {
			continue // a skip
		}
		return true, r.parse(p)
	}
}

func (r *Reader) parse(p *Packet) error {
	b, ne := r.buf, binary.NativeEndian
	keep := ne.Uint32(b[4:])
	if uint64(keep) > uint64(len(b)-recordHead) {
		return errCorrupt
	}
	*p = Packet{Time: int64(ne.Uint64(b[16:])), Direction: watch.Direction(ne.Uint32(b[12:])), Ifindex: ne.Uint32(b[24:]), Queue: ne.Uint32(b[28:]),
		Wire: int(ne.Uint32(b[8:])), Data: b[recordHead : recordHead+keep]}
	return nil
}

// Dropped is how many packets found no room.
func (r *Reader) Dropped() uint64 { return r.h.dropped.Load() }

// check looks at a ring's header.
func (h *header) check(mem []byte) error {
	if h.magic != magic || h.version != version || h.size != uint64(len(mem)-headerSize) {
		return fmt.Errorf("mirror: no ring (magic %#x, version %d, %d bytes)", h.magic, h.version, h.size)
	}
	return nil
}

package trace

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sluice-net/sluice/efvi/watch"
)

// The blocks of draft-ietf-opsawg-pcapng, each of them
//
//	type (4) | total length (4) | body, padded to 4 | total length (4)
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	byteOrderMagic   = 0x1a2b3c4d
	linkTypeEthernet = 1
	optionEnd        = 0
	optionComment    = 1
	optionName       = 2 // if_name, in an interface block
	optionFlags      = 2 // epb_flags, in a packet block
	optionResolution = 9 // if_tsresol
	nanoseconds      = 9 // 10^-9 s
)

// Writer writes packets in pcapng. It gathers them in memory that it reuses, and
// writes at Flush.
type Writer struct {
	w      io.Writer
	buf    []byte
	err    error
	ifaces uint32
}

// flushAt is how much is gathered at most, in bytes, before it is written without being asked.
const flushAt = 1 << 18

// NewWriter begins a file with one Ethernet interface of that name. The header, too, is written
// by the first Flush.
func NewWriter(w io.Writer, device string) *Writer {
	x := &Writer{w: w, buf: make([]byte, 0, flushAt+1<<16)}
	at := x.begin(blockSection)
	x.u32(byteOrderMagic)
	x.u16(1) // version 1.0
	x.u16(0)
	x.u32(0xffffffff) // section length: not told
	x.u32(0xffffffff)
	x.end(at)

	x.AddInterface(device)
	return x
}

// AddInterface tells of one more Ethernet interface, and returns its number for Note. The first has number 0.
func (x *Writer) AddInterface(device string) uint32 {
	at := x.begin(blockInterface)
	x.u16(linkTypeEthernet)
	x.u16(0)
	x.u32(0) // no limit to a packet's length
	x.option(optionName, []byte(device)...)
	x.option(optionResolution, nanoseconds)
	x.option(optionEnd)
	x.end(at)
	x.ifaces++
	return x.ifaces - 1
}

// Packet notes one packet of the first interface; now is in nanoseconds since 1970.
func (x *Writer) Packet(now int64, d watch.Direction, b []byte) { x.Note(0, now, d, len(b), b, "") }

// Note notes a packet of an interface, of which b may be the beginning only: it was wire bytes long. The comment may be empty.
func (x *Writer) Note(iface uint32, now int64, d watch.Direction, wire int, b []byte, comment string) {
	if x.err != nil {
		return
	}
	at := x.begin(blockPacket)
	x.u32(iface)
	x.u32(uint32(uint64(now) >> 32))
	x.u32(uint32(uint64(now)))
	x.u32(uint32(len(b)))
	x.u32(uint32(wire))
	x.bytes(b)
	if comment != "" {
		x.u16(optionComment)
		x.u16(uint16(len(comment)))
		x.buf = append(x.buf, comment...)
		for n := len(comment); n%4 != 0; n++ {
			x.buf = append(x.buf, 0)
		}
	}
	x.u16(optionFlags)
	x.u16(4)
	x.u32(uint32(d))
	x.option(optionEnd)
	x.end(at)
	if len(x.buf) >= flushAt {
		x.Flush()
	}
}

// Flush writes what was noted. After an error it does nothing.
func (x *Writer) Flush() {
	if len(x.buf) == 0 || x.err != nil {
		return
	}
	if _, err := x.w.Write(x.buf); err != nil {
		x.err = fmt.Errorf("write trace: %w", err)
	}
	x.buf = x.buf[:0]
}

// Err is the error that ended the writing, if any.
func (x *Writer) Err() error { return x.err }

func (x *Writer) u16(v uint16) { x.buf = binary.LittleEndian.AppendUint16(x.buf, v) }
func (x *Writer) u32(v uint32) { x.buf = binary.LittleEndian.AppendUint32(x.buf, v) }

// bytes appends b and pads it to 4.
func (x *Writer) bytes(b []byte) {
	x.buf = append(x.buf, b...)
	for n := len(b); n%4 != 0; n++ {
		x.buf = append(x.buf, 0)
	}
}

func (x *Writer) option(code uint16, value ...byte) {
	x.u16(code)
	x.u16(uint16(len(value)))
	x.bytes(value)
}

// begin starts a block and returns where, for end.
func (x *Writer) begin(kind uint32) int {
	x.u32(kind)
	x.u32(0)
	return len(x.buf) - 8
}

// end writes the block's length, before and behind.
func (x *Writer) end(at int) {
	n := uint32(len(x.buf) - at + 4)
	binary.LittleEndian.PutUint32(x.buf[at+4:], n)
	x.u32(n)
}

package tcp

import (
	"net/netip"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// Flow names a connection, seen from our end.
type Flow struct{ Local, Remote netip.AddrPort }

// Segment is one received segment whose checksum was right. It is valid during the call it is given to.
type Segment struct {
	Flags    wire.Flags
	Seq, Ack Seq
	Wnd      uint16 // as on the wire, not scaled
	Urg      uint16
	CE       bool // the IP header says Congestion Experienced
	Opts     wire.TCPOptions
	Payload  []byte
	// Buf is the frame that holds Payload: Buf.Bytes() is Payload. A connection that keeps the frame takes its own
	// reference. With a nil Buf the payload is copied.
	Buf *pbuf.Buf
	// Rest are the frames in which the payload goes on, More bytes in all, which are all of their valid bytes.
	Rest []*pbuf.Buf
	More int
	// Head is what lies in front of Payload in the frame, LinkLen bytes of it the link layer's. Of a SYN only.
	Head    []byte
	LinkLen int

	// Where the segment came in, so that a queue can be given up.
	Ifindex, Queue int
}

// Size is the length of the payload.
func (s *Segment) Size() int { return len(s.Payload) + s.More }

// at is the octet of the payload at that offset, which is below Size.
func (s *Segment) at(off int) byte {
	if off < len(s.Payload) {
		return s.Payload[off]
	}
	off -= len(s.Payload)
	for _, b := range s.Rest {
		if off < b.Len() {
			return b.Bytes()[off]
		}
		off -= b.Len()
	}
	return 0
}

// len is the segment's length in sequence space: "SEG.LEN = the number of octets occupied by the data in the segment
// (counting SYN and FIN)" RFC 9293 §3.3.1.
func (s *Segment) len() int {
	n := s.Size()
	if s.Flags.Any(wire.SYN) {
		n++
	}
	if s.Flags.Any(wire.FIN) {
		n++
	}
	return n
}

// end is the sequence number after the segment.
func (s *Segment) end() Seq { return s.Seq.Add(s.len()) }

// Header is what the state machine says about a segment to send; ports and addresses are the connection's.
type Header struct {
	Flags    wire.Flags
	Seq, Ack Seq
	Wnd      uint16 // as on the wire, scaled already
	Urg      uint16
	ECT      bool // mark the IP header ECT(0)
	Opts     wire.TCPOptions
}

// Out takes segments to send. Neither method may call back into the connection. false means that there is no room
// just now: call Output again when there is.
type Out interface {
	// Segment sends a segment of c. Its payload is payload.Frame()[off:off+n], with pbuf.Headroom free bytes in front
	// of the first one; payload is nil when there is none. h is valid during the call.
	Segment(c *Conn, h *Header, payload *pbuf.Buf, off, n int) bool
	// Reply sends a segment that belongs to no connection: a SYN-ACK, a reset, an ACK in TIME-WAIT.
	Reply(f *Flow, h *Header) bool
}

// Watcher is told when something happened that the kernel would wake sleepers for.
type Watcher interface {
	// TCPEvent reports new input (data, end of stream, an error) or new room for output. It must not call back into
	// the connection.
	TCPEvent(in, out bool)
}

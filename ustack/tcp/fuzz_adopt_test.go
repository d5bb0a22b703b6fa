package tcp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// FuzzAdopt makes connections of snapshots with any numbers in them, as a damaged or hostile other side might send. They
// are refused, or behave as connections do: nothing panics, nothing leaks, and another snapshot is the same.
func FuzzAdopt(f *testing.F) {
	for state := Established; state <= Closing; state++ {
		f.Add(uint8(state), uint16(0x1ff), make([]byte, 44), uint16(100), uint16(50), uint16(30))
	}
	f.Add(uint8(Established), uint16(0xffff), []byte("\xff\xff\xff\xf0\x00\x00\x00\x10numbers of all kinds............"), uint16(20), uint16(0), uint16(9000))
	f.Fuzz(func(t *testing.T, state uint8, bits uint16, numbers []byte, unacked, unsent, unread uint16) {
		pool := pbuf.New(fuzzMemory, 4096)
		r := rigOver(t, pool)
		s := snapshotOf(r, State(state), bits, append(numbers, make([]byte, 44)...))
		s.Unacked, s.Unsent, s.Unread = make([]byte, unacked%20000), make([]byte, unsent%20000), make([]byte, unread%20000)
		c, err := Adopt(r.now, r.h, s, Path{1500})
		if err != nil {
			must(t, pool.Free() == pool.Len(), "%v, and %d frames are lost", err, pool.Len()-pool.Free())
			return
		}
		r.sink, r.c, c.Owner = discard{}, c, r
		must(t, c.InQ() == len(s.Unread), "%d bytes to read, not %d", c.InQ(), len(s.Unread))
		c.Output(r.now, r)
		seq, ack := c.rcvNxt, c.snd.nxt
		for _, fl := range []wire.Flags{wire.ACK, wire.ACK | wire.PSH, wire.FIN | wire.ACK} {
			if c.state == Closed {
				break
			}
			c.Input(r.now, &Segment{Flags: fl, Seq: seq, Ack: ack, Wnd: 1000, Payload: make([]byte, 10)}, r)
			c.Output(r.now, r)
			r.advance(300 * time.Millisecond)
		}
		if again, err := c.Freeze(r.now); err == nil {
			must(t, len(again.Unread) == c.rq.bytes, "%d bytes in the snapshot, %d unread", len(again.Unread), c.rq.bytes)
			c.Thaw(r.now)
		}
		c.Abort(r.now)
		c.Output(r.now, r)
		must(t, pool.Free() == pool.Len(), "%d frames are lost", pool.Len()-pool.Free())
	})
}

type discard struct{}

func (discard) sent(*Conn, *Header, *pbuf.Buf, int, int) {}

func snapshotOf(r *rig, state State, bits uint16, b []byte) *Snapshot {
	n := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	bit := func(i int) bool { return bits>>i&1 != 0 }
	s := &Snapshot{Flow: r.flow, State: state, SndUna: Seq(n(0)), SndNxt: Seq(n(1)), RcvNxt: Seq(n(2)),
		FINQueued: bit(0), FINSent: bit(1), FINReceived: bit(2), Scaling: bit(3), SACK: bit(4), Timestamps: bit(5), ECN: bit(6),
		Orphan: bit(7), MSS: uint16(n(3)), SndScale: uint8(n(3) >> 16), RcvScale: uint8(n(3) >> 24), TSVal: n(4), TSRecent: n(5),
		SRTT: int64(int32(n(6))), SndWnd: n(7), MaxWnd: n(8), RcvWnd: n(9), SndWL1: Seq(n(10)), RcvWup: Seq(n(2) - n(9)>>1), Options: DefaultOptions()}
	if bit(8) { // a consistent one: everything sent was acknowledged
		s.SndNxt = s.SndUna
	}
	return s
}

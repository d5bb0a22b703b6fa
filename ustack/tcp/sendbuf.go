package tcp

import (
	"math"
	"math/bits"

	"github.com/sluice-net/sluice/ustack/pbuf"
)

// sendBuffer bounds what the program may queue, as Linux' sk_sndbuf does: it grows with cwnd up to tcp_wmem[2] unless
// SO_SNDBUF fixed it.
type sendBuffer struct {
	size    int
	begun   Seq   // where the packet begins that is being filled, as Linux counts packets: see packetGoal
	lowat   int32 // TCP_NOTSENT_LOWAT in bytes, 0: the host's
	locked  bool  // SO_SNDBUF was set
	noSpace bool  // the program found no room: it is told when there is some (Linux' SOCK_NOSPACE)
	starved bool  // the pool of frames was empty: look again soon
	pause   int32 // how long until then, ns: it doubles up to 64 ms
	look    int64 // when to look for a frame again
}

func clamp32(v int) int32 { return int32(min(max(v, 0), math.MaxInt32)) }

// minSendBuffer is the least SO_SNDBUF gives, SOCK_MIN_SNDBUF.
const minSendBuffer = 4608

// set fixes the size as SO_SNDBUF does: the value is doubled and limited by limit (net.core.wmem_max).
func (b *sendBuffer) set(v, limit int) {
	b.size, b.locked = max(2*min(max(v, 0), limit), minSendBuffer), true
}

// expand makes room for two windows of data: what is in flight, and what is being written meanwhile.
func (s *sender) expandBuffer() {
	if s.buf.locked {
		return
	}
	n := int(max(initialWindow, s.cwnd, s.rack.reordering+1))
	s.buf.size = max(s.buf.size, min(2*n*perSegment(s.mss), s.p.Wmem[2]))
}

// perSegment is what Linux charges for one full segment: payload, headers and shared info rounded up to a power of two,
// and the sk_buff itself.
func perSegment(mss int) int {
	return 1<<bits.Len(uint(mss+320+320-1)) + 256
}

// mayQueue says whether another segment may be queued: like sk_stream_memory_free, the last one may exceed the limit.
func (s *sender) mayQueue() bool { return s.q.charge < s.buf.size && s.unsent() < s.notsentLimit() }

func (s *sender) notsentLimit() int {
	limit := s.p.LimitNotsent
	if s.buf.lowat > 0 {
		limit = int(s.buf.lowat)
	}
	if s.buf.locked {
		return limit
	}
	return min(limit, max(nearMost, int(s.cwnd)*s.mss))
}

// nearMost is how much may wait beyond a window before the program does. What waits is read once more when it leaves: out of a cache
// of the processor, if it is no more than this, else out of memory, for twice the time. Linux lets several windows wait.
const nearMost = 256 << 10

// writable says whether poll tells POLLOUT: a third of the buffer is free and not too much is unsent. When it says no,
// the next ACK that changes that sets ackOut.space.
func (s *sender) writable() bool {
	ok := s.buf.size-s.q.charge >= s.q.charge>>1 && s.unsent() < s.notsentLimit() && s.frames()
	if !ok {
		s.buf.noSpace = true
	}
	return ok
}

// frames says whether a byte could be stored at all. Who only has his share already waits for the ACKs of it; if there is no frame at all
// nobody's ACK need come.
func (s *sender) frames() bool {
	if s.mayHold() {
		return true
	}
	s.buf.starved = s.buf.starved || s.mem.Pool.Available() == 0
	return false
}

// mayHold says whether the connection may take another frame for what it sends. Peers that never read must not have all of them, so
// a connection's share shrinks with the cube of what is free: of N frames one alone may hold 0.23 N, each of a hundred 0.008 N. Once what is
// free has come down to (2 N^2)^(1/3) it is for those that hold none. N is what is left beside the reserve and the receive rings.
func (s *sender) mayHold() bool {
	free, all := s.mem.Pool.Available(), s.mem.Pool.Len()*5/8
	if s.sb.out == 0 && s.end == s.nxt {
		return free > 0
	}
	held := (int(s.sb.out) + (s.unsent()+s.mss-1)/s.mss) * PayloadFrames(pbuf.Headroom, s.mss)
	return free > 0 && (held == 0 || held*2*all*all < free*free*free)
}

// space is about how many bytes write would take now.
func (s *sender) space() int {
	free := s.buf.size - s.q.charge
	if free <= 0 || !s.mayQueue() {
		return 0
	}
	per := s.packetGoal()
	return (free + per + packetCharge - 1) / (per + packetCharge) * per
}

// freed is called when the queue got shorter: it lets the buffer grow if a fuller window needs it, and says whether
// the program should be told.
func (s *sender) freed() bool {
	if !s.buf.noSpace {
		return false
	}
	if s.inFlight() < s.cwnd { // else more data would not be sent sooner
		s.expandBuffer()
	}
	if !s.writable() {
		return false
	}
	s.buf.noSpace, s.buf.starved, s.buf.pause = false, false, 0
	return true
}

package sim

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// health is the oracle inside the stacks: after every step it looks at each connection's timers and windows.
type health struct {
	w     *world
	known [2]map[*usock.Socket]*vitals
	buf   [232]byte
	round uint64
	still map[*usock.Socket]bool // frozen: they have no timers
}

// vitals is what a connection told after the step before.
type vitals struct {
	cwnd, mss   uint32
	flight      uint32 // segments
	sacked      uint32 // of those out: SACKed, or counted as duplicate ACKs
	in          uint32 // segments that came
	peak        uint32 // the most that cwnd ever was, or can have been
	delivered   uint32
	base        uint32 // from which cwnd may grow by what is delivered: the initial window, or what was in flight when it moved
	free        bool   // its congestion control sets cwnd by a model of its own, or did
	data, total uint32 // segments of new data and retransmissions, so far
	round       uint64
}

const infoSACK = 2 // of tcpi_options, the sixth byte

// Offsets in struct tcp_info.
const (
	infoMSS      = 16
	infoUnacked  = 24
	infoSacked   = 28
	infoLost     = 32
	infoRetrans  = 36
	infoSsthresh = 76
	infoTotalRex = 100
	infoSegsIn   = 140
	infoDataOut  = 156
	infoDeliv    = 192
)

func newHealth(w *world) *health {
	return &health{w: w, known: [2]map[*usock.Socket]*vitals{{}, {}}, still: map[*usock.Socket]bool{}}
}

// check looks at all connections of both stacks.
func (o *health) check() {
	o.round++
	for i, h := range o.w.host {
		o.frames(i, h)
		next := h.NextDeadline()
		h.Each(func(s *usock.Socket) {
			if c := s.Conn(); c != nil {
				o.timers(i, s, next)
				o.windows(i, s)
			} else if d := s.Listener().Deadline(); d != 0 && (next == 0 || next > d) {
				o.w.t.Fatalf("host %d: the listener's timer at %d is lost, the next is %d", i, d, next)
			}
		})
		for s, v := range o.known[i] {
			if v.round != o.round {
				delete(o.known[i], s)
			}
		}
	}
	o.w.watch.turn++
}

// frames: each frame is free, in the receive ring, or held by somebody; none twice.
func (o *health) frames(i int, h *host) {
	if h.pool.Free()+len(h.nic.posted)+len(h.nic.events) > h.pool.Len() {
		o.w.t.Fatalf("host %d has more frames than there are", i)
	}
}

// timers: what waits for something has a deadline, and the stack knows the earliest.
func (o *health) timers(i int, s *usock.Socket, next int64) {
	c := s.Conn()
	d := c.Deadline()
	if o.still[s] {
		return
	}
	soon := next != 0 && next <= o.w.now+2*ms // the stack itself looks again: a ring or the pool was empty
	if d != 0 && !soon && (next == 0 || next > d) {
		o.w.t.Fatalf("host %d: the timer of %v at %d is lost, the next is %d", i, s.Remote(), d, next)
	}
	if d == 0 && !soon && s.OutQ() > 0 && c.State() != tcp.Closed {
		o.w.t.Fatalf("host %d: %v in %v has %d bytes out, %d unsent, and no timer", i, s.Remote(), c.State(), s.OutQ(), s.OutQNSD())
	}
	if d == 0 && s.Orphan() && c.State() == tcp.FinWait2 {
		o.w.t.Fatalf("host %d: an orphan in FIN-WAIT-2 has no timer", i)
	}
}

func (o *health) field(at int) uint32 { return binary.NativeEndian.Uint32(o.buf[at:]) }

// mostOut is how many segments may be in flight after new data has left. One ACK sets cwnd, and new data leaves while less is
// in flight; a tail loss probe is one more. Of several ACKs in a batch each can have set another cwnd, of which the last alone
// is told: a model may restore an earlier window and cut it again. And without SACK each duplicate lets a new segment go
// that is in flight again with all others as soon as the next ACK shows where the duplicates came from.
func (o *health) mostOut(was, is *vitals) uint32 {
	most := max(was.cwnd, is.cwnd)
	if is.in-was.in > 1 {
		if is.free || is.mss > was.mss { // a probe of the MTU came through: cwnd is told in larger segments then (found by seed 191385)
			most = max(most, is.peak)
		}
		if o.buf[5]&infoSACK == 0 {
			most += was.sacked + is.in - was.in
		}
	}
	return max(most, was.flight) + 1
}

// probed says whether a probe of the MTU left in this step: it takes one off cwnd (RFC 4821 §7.5), which may have been one more
// before, in a batch (found by seed 9780). No other segment is larger than the MSS.
func (o *health) probed(i int, s *usock.Socket, was, is *vitals) bool {
	return is.in-was.in > 1 && o.w.watch.largest(i, s) > int(max(was.mss, is.mss))
}

// mostGrown is what cwnd can have become: "cwnd += min (N, SMSS)" RFC 5681 §3.1, and no model adds more than was delivered. A few
// for probes of the MTU. In recovery a model sets cwnd to what is in flight (packet conservation), which without SACK is one
// more for each duplicate ACK.
func (o *health) mostGrown(is *vitals) uint32 {
	most := is.base + is.delivered + 8
	if is.free && o.buf[5]&infoSACK == 0 {
		most += is.in
	}
	return most
}

// windows: cwnd is at least a segment, grows by what was delivered at most, and holds new data back.
func (o *health) windows(i int, s *usock.Socket) {
	const solTCP, tcpInfo = 6, 11
	if st := s.State(); st == tcp.SynSent || st == tcp.SynReceived || st == tcp.Closed {
		return
	}
	if _, err := s.Option(o.w.now, solTCP, tcpInfo, o.buf[:]); err != nil {
		o.w.t.Fatalf("TCP_INFO: %v", err)
	}
	is := vitals{cwnd: o.field(infoCwnd), mss: o.field(infoMSS), delivered: o.field(infoDeliv), data: o.field(infoDataOut),
		total: o.field(infoTotalRex), sacked: o.field(infoSacked), in: o.field(infoSegsIn), round: o.round}
	flight := o.field(infoUnacked) - o.field(infoSacked) - o.field(infoLost) + o.field(infoRetrans)
	is.flight = flight
	was := o.known[i][s]
	if was == nil {
		is.free, is.base = o.ownWindow(s), max(10, flight)
		o.known[i][s] = &is
		return
	}
	ssthresh := o.field(infoSsthresh)
	fresh := is.data - was.data - (is.total - was.total)
	is.free, is.base = was.free || o.ownWindow(s), was.base
	is.peak = max(was.peak, is.cwnd, was.cwnd+is.delivered-was.delivered)
	t := o.w.t
	switch {
	case is.cwnd == 0 || is.cwnd > 1<<20:
		t.Fatalf("host %d: cwnd is %d", i, is.cwnd)
	case int32(flight) < 0 || o.field(infoSacked)+o.field(infoLost) > o.field(infoUnacked)+o.field(infoLost):
		t.Fatalf("host %d: %d out, %d sacked, %d lost, %d sent again", i, o.field(infoUnacked), o.field(infoSacked), o.field(infoLost), o.field(infoRetrans))
	case int32(fresh) > 0 && flight > o.mostOut(was, &is) && (flight > o.mostOut(was, &is)+1 || !o.probed(i, s, was, &is)):
		t.Fatalf("host %d: new data left with %d segments in flight and a cwnd of %d", i, flight, is.cwnd)
	case is.cwnd > o.mostGrown(&is):
		t.Fatalf("host %d: cwnd grew from %d to %d, %d segments were delivered in all", i, was.cwnd, is.cwnd, is.delivered)
	case ssthresh < 2:
		t.Fatalf("host %d: ssthresh is %d", i, ssthresh)
	}
	*was = is
}

// ownWindow says whether the connection's congestion control sets cwnd by its own model.
func (o *health) ownWindow(s *usock.Socket) bool {
	const solTCP, congestion = 6, 13
	var name [16]byte
	n, err := s.Option(o.w.now, solTCP, congestion, name[:])
	return err == nil && n >= 3 && string(name[:3]) == "bbr"
}

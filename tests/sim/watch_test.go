package sim

import (
	"fmt"
	"hash/crc64"
	"net/netip"
	"slices"
	"testing"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// watcher is an oracle on the wire: it sees every packet when it is sent and when it arrives, keeps the books of both ends
// of every connection by itself, and holds what an end sends against what that end can know (rules_test.go). It shares
// no code with the stack but the parsing of headers.
type watcher struct {
	t       testing.TB
	side    map[netip.Addr]int
	flows   map[[2]uint16]*flow // by the ports of side 0 and side 1
	hostile [2]bool             // the packets of that side follow no rule
	packets int
	trace   uint64 // hash over time, side and bytes of all packets
	turn    uint64 // steps that health has looked at
	iplen   int
	late    bool // of all flows
	scarce  bool // segments wait for frames, rings or neighbours: the times of retransmissions tell nothing
}

var crcTable = crc64.MakeTable(crc64.ECMA)

func newWatcher(w *world) *watcher {
	v := &watcher{t: w.t, side: map[netip.Addr]int{}, flows: map[[2]uint16]*flow{}, iplen: wire.IPv4Len}
	for i, h := range w.host {
		v.side[h.addr] = i
		if h.addr.Is6() {
			v.iplen = wire.IPv6Len
		}
	}
	return v
}

// flow is one connection: what is known of either end.
type flow struct {
	port [2]uint16
	half [2]half
	late bool // packets that waited for a neighbour's address leave behind newer ones
}

// half is one end of a connection, as its packets and those that reached it tell.
type half struct {
	syn     bool      // it has sent a SYN
	iss     tcp.Seq   // and its number
	isses   []tcp.Seq // all that its SYN-ACKs had
	opts    wire.OptSet
	wscale  uint8
	mss     uint16
	nxt     tcp.Seq // behind the highest number it has sent
	fin     bool    // it has sent a FIN
	rst     bool    // it has sent a reset
	ghost   bool    // a SYN, or an ACK with its cookie, came again when all was over: its listener believes in another connection for a while
	lastAck tcp.Seq // the acknowledgment it sent last
	edge    tcp.Seq // the right edge of the window it told last
	told    bool    // lastAck and edge are set
	tsval   uint32  // the timestamp it sent last
	tsecr   uint32
	data    uint32 // segments that carried new data
	large   int    // bytes of the largest of them in that turn
	turn    uint64
	again   backoff

	heardSYN bool
	irs      tcp.Seq // the number of the other end's SYN
	rcv      tcp.Seq // all numbers below reached it
	ahead    ranges  // numbers above that reached it
	twice    ranges  // numbers that reached it more than once
	una      tcp.Seq // highest acknowledgment that reached it
	allowed  tcp.Seq // highest right edge that reached it
	heardTS  uint32  // highest timestamp that reached it
	heard    int64   // when something that counts reached it last
	arrivals int
	resets   int // that reached it
	synacks  int
}

// segment is a packet as the watcher understood it.
type segment struct {
	f        *flow
	side     int // who sent it
	seq, ack tcp.Seq
	end      tcp.Seq
	flags    wire.Flags
	wnd      uint16
	n        int // payload bytes
	opts     wire.TCPOptions
	iplen    int
	ect      bool // the IP header says that the transport understands ECN
}

// parse makes a segment of a frame, nil when it is no TCP between the two hosts.
func (v *watcher) parse(frame []byte) *segment {
	if len(frame) < wire.EthernetLen+v.iplen+wire.TCPLen {
		return nil
	}
	p := frame[wire.EthernetLen:]
	var src netip.Addr
	var t wire.TCP
	if v.iplen == wire.IPv4Len {
		ip := wire.IPv4(p)
		src, t = ip.Src(), wire.TCP(ip.Payload())
		if ip.Proto() != wire.ProtoTCP {
			return nil
		}
	} else {
		ip := wire.IPv6(p)
		src, t = ip.Src(), wire.TCP(ip.Payload())
		if ip.NextHeader() != wire.ProtoTCP {
			return nil
		}
	}
	s := &segment{seq: tcp.Seq(t.Seq()), ack: tcp.Seq(t.Ack()), flags: t.Flags(), wnd: t.Window(), iplen: len(p)}
	s.side = v.side[src]
	s.ect = ecn(p) != 0
	s.opts.Parse(t.Options())
	s.n = len(t.Payload())
	s.end = s.seq.Add(s.n)
	if s.flags.Any(wire.SYN) {
		s.end++
	}
	if s.flags.Any(wire.FIN) {
		s.end++
	}
	ports := [2]uint16{t.SrcPort(), t.DstPort()}
	if s.side == 1 {
		ports[0], ports[1] = ports[1], ports[0]
	}
	if s.f = v.flows[ports]; s.f == nil || s.flags&(wire.SYN|wire.ACK) == wire.SYN && s.f.over(s) && !v.hostile[s.side] {
		s.f = &flow{port: ports, late: v.late}
		s.f.half[0].again.off, s.f.half[1].again.off = v.scarce, v.scarce
		v.flows[ports] = s.f
	}
	return s
}

// over says whether a SYN begins another connection of the same ports.
func (f *flow) over(s *segment) bool { return f.half[s.side].syn && f.half[s.side].iss != s.seq }

// sent judges a packet that leaves, and remembers it.
func (v *watcher) sent(now int64, side int, frame []byte) *segment {
	v.packets++
	v.trace = crc64.Update(v.trace^uint64(now)<<1^uint64(side), crcTable, frame)
	s := v.parse(frame)
	if s == nil {
		return nil
	}
	if *dump {
		fmt.Printf("%.3f %s\n", float64(now-second)/1e6, s)
	}
	if s.side != side {
		v.t.Fatalf("host %d sends as the other", side)
	}
	me := &s.f.half[side]
	if s.flags.Has(wire.SYN|wire.ACK) && me.syn && (me.fin || me.rst || me.resets > 0) || me.cookieAgain(s) {
		me.ghost = true
	}
	if me.ghost {
		return s
	}
	if !v.hostile[side] {
		v.judge(now, s)
	}
	if s.flags.Any(wire.SYN) && (!me.syn || me.data == 0 && !me.fin && s.seq != me.iss && !v.hostile[side]) {
		me.syn, me.iss, me.nxt, me.opts, me.wscale, me.mss = true, s.seq, s.seq, s.opts.Set, s.opts.WScale, s.opts.MSS
	}
	if s.flags.Has(wire.SYN|wire.ACK) && !slices.Contains(me.isses, s.seq) {
		me.isses = append(me.isses, s.seq)
	}
	if s.flags.Any(wire.RST) {
		me.rst = true
		return s
	}
	if s.end.GT(me.nxt) {
		me.nxt = s.end
		if s.n > 0 {
			me.data++
			me.size(v.turn, s.n)
		}
	}
	me.fin = me.fin || s.flags.Any(wire.FIN)
	if s.flags.Any(wire.ACK) && !s.answersAnother(me) {
		me.lastAck, me.edge, me.told = s.ack, s.edge(), true
	}
	if s.opts.Has(wire.HasTimestamp) {
		me.tsval, me.tsecr = s.opts.TSVal, s.opts.TSEcr
	}
	return s
}

// size remembers the largest new segment of a turn.
func (h *half) size(turn uint64, n int) {
	if h.turn != turn {
		h.turn, h.large = turn, 0
	}
	h.large = max(h.large, n)
}

// largest is that of the present turn.
func (v *watcher) largest(side int, s *usock.Socket) int {
	h := v.half(side, s)
	if h.turn != v.turn {
		return 0
	}
	return h.large
}

// cookieAgain: an end whose connection is over acknowledges as one that just began: a late ACK brought its cookie once more.
func (h *half) cookieAgain(s *segment) bool {
	return s.n == 0 && !s.flags.Any(wire.SYN|wire.FIN|wire.RST) && slices.Contains(h.isses, s.seq-1) &&
		(h.rst || h.fin && s.seq != h.nxt || h.resets > 0 && s.ack.LT(h.lastAck))
}

// shift is how far the windows that an end tells are scaled: only if both asked for it.
func (f *flow) shift(side int) uint8 {
	if f.half[0].opts&f.half[1].opts&wire.HasWScale == 0 {
		return 0
	}
	return min(f.half[side].wscale, 14)
}

// edge is the first number that a segment's window does not allow. "The window field in a segment where the SYN bit is
// set [...] MUST NOT be scaled" RFC 7323 §2.2
func (s *segment) edge() tcp.Seq {
	if s.flags.Any(wire.SYN) {
		return s.ack.Add(int(s.wnd))
	}
	return s.ack.Add(int(s.wnd) << s.f.shift(s.side))
}

// arrived notes what the end at side can know now. The packet came in unharmed; whether the stack had room for its
// payload is not known here, so all of this is what it may know at most.
func (v *watcher) arrived(now int64, side int, s *segment) {
	if s.f != v.flows[s.f.port] { // of an earlier connection of these ports
		return
	}
	me := &s.f.half[side]
	if s.end.GEQ(me.lastAck) { // what is older is no sign of life: its ACK is not looked at
		me.heard = now
	}
	me.arrivals++
	if s.flags.Has(wire.SYN | wire.ACK) {
		me.synacks++
	}
	if s.flags.Any(wire.RST) {
		me.resets++
		return
	}
	if s.flags.Any(wire.SYN) && !me.heardSYN {
		me.heardSYN, me.irs, me.rcv = true, s.seq, s.seq
	}
	if me.heardSYN {
		me.take(s.seq, s.end)
	}
	if s.opts.Has(wire.HasTimestamp) && (me.heardTS == 0 || int32(s.opts.TSVal-me.heardTS) > 0) {
		me.heardTS = s.opts.TSVal
	}
	if s.flags.Any(wire.ACK) && me.data == 0 && !me.fin && slices.Contains(me.isses, s.ack-1) {
		me.iss, me.nxt = s.ack-1, s.ack // of several SYN-ACKs, cookies and others, that is the one that counts
	}
	if !s.flags.Any(wire.ACK) || !me.syn || s.ack.GT(me.nxt) || s.ack.LT(me.iss) {
		return
	}
	if me.una == 0 && me.allowed == 0 || s.ack.GT(me.una) {
		me.una = s.ack
	}
	if e := s.edge(); me.allowed == 0 || e.GT(me.allowed) {
		me.allowed = e
	}
}

// take notes numbers [seq, end) as received.
func (h *half) take(seq, end tcp.Seq) {
	if seq == end {
		return
	}
	if seq.LT(h.rcv) {
		h.twice.add(seq, minSeq(end, h.rcv))
		seq = h.rcv
	}
	if !seq.LT(end) {
		return
	}
	for _, r := range h.ahead {
		if r.lo.LT(end) && r.hi.GT(seq) {
			h.twice.add(maxSeq(r.lo, seq), minSeq(r.hi, end))
		}
	}
	h.ahead.add(seq, end)
	if h.ahead[0].lo.LEQ(h.rcv) {
		h.rcv = h.ahead[0].hi
		h.ahead = append(h.ahead[:0], h.ahead[1:]...)
	}
}

// ranges are parts of sequence space in order, none touching the next.
type ranges []struct{ lo, hi tcp.Seq }

func (r *ranges) add(lo, hi tcp.Seq) {
	i := 0
	for i < len(*r) && (*r)[i].hi.LT(lo) {
		i++
	}
	j := i
	for j < len(*r) && (*r)[j].lo.LEQ(hi) {
		lo, hi = minSeq(lo, (*r)[j].lo), maxSeq(hi, (*r)[j].hi)
		j++
	}
	if i == j {
		*r = append(*r, struct{ lo, hi tcp.Seq }{})
		copy((*r)[i+1:], (*r)[i:])
	} else {
		*r = append((*r)[:i+1], (*r)[j:]...)
	}
	(*r)[i] = struct{ lo, hi tcp.Seq }{lo, hi}
}

// has says whether [lo, hi) lies in r.
func (r ranges) has(lo, hi tcp.Seq) bool {
	for _, x := range r {
		if x.lo.LEQ(lo) && hi.LEQ(x.hi) {
			return true
		}
	}
	return false
}

func minSeq(a, b tcp.Seq) tcp.Seq {
	if a.LT(b) {
		return a
	}
	return b
}

func maxSeq(a, b tcp.Seq) tcp.Seq {
	if a.GT(b) {
		return a
	}
	return b
}

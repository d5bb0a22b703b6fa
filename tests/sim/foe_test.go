package sim

import (
	"slices"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// foePlan is a peer that is no stack but a script: a small TCP of its own, so that the connection gets somewhere, which now
// and then does what no honest peer does (foe_moves_test.go). Whatever it does, the stack at the other end must deliver the
// right bytes, keep the rules on the wire, answer a packet with few of its own, and lose no frame.
type foePlan struct {
	Active  bool `json:",omitempty"` // the stack opens the connection
	Bytes   [2]int
	MSS     uint16
	Scale   uint8
	Window  uint16
	Options wire.OptSet
	Quit    int64 // when it falls silent
	Moves   []event
}

func (d dice) foe() *foePlan {
	f := &foePlan{Active: d.one(2), Bytes: [2]int{pick(d, 0, 1000, 50_000), pick(d, 0, 1000, 50_000)},
		MSS: pick(d, uint16(100), 536, 1460, 65535), Scale: pick(d, uint8(0), 7, 14, 200), Window: pick(d, uint16(0), 1, 1000, 65535),
		Options: wire.OptSet(d.IntN(16)), Quit: d.time(10 * second)}
	for range 1 + d.IntN(40) {
		f.Moves = append(f.Moves, event{At: d.time(8 * second), For: d.time(second), What: pick(d, moves...), N: int64(d.IntN(100_000))})
	}
	slices.SortFunc(f.Moves, func(a, b event) int { return int(min(max(a.At-b.At, -1), 1)) })
	return f
}

// foe is the script as it runs.
type foe struct {
	*play
	p     *foePlan
	k     *talk // the program at the other end
	moves []event
	port  [2]uint16
	iss   tcp.Seq
	irs   tcp.Seq
	known bool // irs is set
	open  bool
	rcv   tcp.Seq // what it acknowledges
	got   ranges
	una   tcp.Seq // what the stack acknowledged of ours
	edge  tcp.Seq // right edge of the stack's window
	nxt   tcp.Seq // next byte to send
	tsval uint32
	echo  uint32
	wnd   uint16
	deaf  int64 // until then it hears nothing
	knock int64 // when to send its SYN again
	tx    int   // packets it has sent
	bare  int   // packets without data that came back
}

// newFoe puts the script into host 0's place.
func newFoe(pl *play, p *foePlan) *foe {
	f := &foe{play: pl, p: p, moves: p.Moves, iss: tcp.Seq(pl.rng.Uint32()), wnd: p.Window, tsval: pl.rng.Uint32()}
	f.nxt, f.una = f.iss+1, f.iss
	s := &session{From: 0, Bytes: p.Bytes, Chunk: 16 << 10}
	f.port = [2]uint16{40000, 80}
	if p.Active {
		s.From = 1
		f.port = [2]uint16{80, 40000}
	}
	f.k = newTalk(pl.world, s, 0)
	f.k.health, f.k.rude, f.k.foe = pl.health, true, true
	f.k.end[0].sent = p.Bytes[0]
	pl.talks = append(pl.talks, f.k)
	pl.watch.hostile[0] = true
	pl.host[0].nic.intake = f.take
	return f
}

// turn makes the moves that are due, and keeps the connection going otherwise.
func (f *foe) turn() {
	if f.now >= second+f.p.Quit {
		return
	}
	if !f.known && !f.p.Active && f.now >= f.knock {
		f.knock = f.now + second/2
		f.send(wire.SYN, f.iss, 0, nil)
	}
	for len(f.moves) > 0 && second+f.moves[0].At <= f.now {
		m := f.moves[0]
		f.moves = f.moves[1:]
		if f.known {
			f.move(&m)
		}
	}
	f.push()
}

func (f *foe) alarm() int64 {
	switch {
	case f.now >= second+f.p.Quit:
		return 0
	case !f.known && !f.p.Active:
		return f.knock
	case len(f.moves) > 0:
		return second + f.moves[0].At
	}
	return second + f.p.Quit
}

// send puts a segment of the connection on the wire.
func (f *foe) send(flags wire.Flags, seq, ack tcp.Seq, payload []byte, change ...func(*wire.TCPFields)) {
	o := &wire.TCPOptions{}
	if flags.Any(wire.SYN) {
		o.Set, o.MSS, o.WScale = f.p.Options&(wire.HasMSS|wire.HasWScale|wire.HasSACKPerm|wire.HasTimestamp), f.p.MSS, f.p.Scale
	} else if f.p.Options&wire.HasTimestamp != 0 {
		o.Set = wire.HasTimestamp
	}
	o.TSVal, o.TSEcr = f.tsval+uint32(f.now/ms), f.echo
	h := wire.TCPFields{SrcPort: f.port[0], DstPort: f.port[1], Seq: uint32(seq), Ack: uint32(ack), Flags: flags, Window: f.wnd, Options: o}
	for _, c := range change {
		c(&h)
	}
	f.tx++
	f.host[0].nic.transmit(f.frameFor(h, payload))
}

// data are n bytes of the script's stream at a number, as far as the stream goes.
func (f *foe) data(seq tcp.Seq, n int) []byte {
	at := seq.Sub(f.iss + 1)
	if at < 0 || at >= f.p.Bytes[0] {
		return nil
	}
	b := make([]byte, max(min(n, f.p.Bytes[0]-at, 1400), 0))
	f.k.end[0].out.fill(b, at)
	return b
}

// push sends a few segments into the stack's window, as an honest peer would, and its FIN.
func (f *foe) push() {
	if !f.open || f.now < f.deaf {
		return
	}
	for range 4 {
		b := f.data(f.nxt, min(f.edge.Sub(f.nxt), 1000))
		if len(b) == 0 {
			break
		}
		f.send(wire.ACK, f.nxt, f.rcv, b)
		f.nxt = f.nxt.Add(len(b))
	}
	if end := f.iss.Add(1 + f.p.Bytes[0]); f.nxt == end {
		f.send(wire.ACK|wire.FIN, end, f.rcv, nil)
		f.nxt++
	}
}

// take is a packet that came from the stack.
func (f *foe) take(frame []byte) {
	if f.now < f.deaf || f.now >= second+f.p.Quit {
		return
	}
	ip, err := wire.ParseIPv4(frame[wire.EthernetLen:])
	if err != nil {
		f.t.Fatalf("a packet of the stack: %v", err)
	}
	t := wire.TCP(ip.Payload())
	var o wire.TCPOptions
	o.Parse(t.Options())
	if o.Has(wire.HasTimestamp) {
		f.echo = o.TSVal
	}
	seq, flags := tcp.Seq(t.Seq()), t.Flags()
	if flags.Any(wire.RST) {
		return
	}
	if flags.Any(wire.SYN) && !f.known {
		f.irs, f.known, f.rcv = seq, true, seq+1
	}
	if flags.Any(wire.ACK) {
		f.una = tcp.Seq(t.Ack())
		f.open = true
		f.edge = f.una.Add(int(t.Window())) // never more than the stack allows: it scales
	}
	f.payload(seq, t.Payload())
	if flags.Any(wire.FIN) && seq.Add(len(t.Payload())) == f.rcv {
		f.rcv++
	}
	switch {
	case flags&(wire.SYN|wire.ACK) == wire.SYN:
		f.send(wire.SYN|wire.ACK, f.iss, f.rcv, nil)
	case flags.Any(wire.SYN|wire.FIN) || len(t.Payload()) > 0:
		f.send(wire.ACK, f.nxt, f.rcv, nil)
	default:
		if f.bare++; f.bare > 2*f.tx+50 {
			f.t.Fatalf("%d packets without data came in answer to %d", f.bare, f.tx)
		}
	}
	if f.una.LT(f.nxt) && f.una.GT(f.iss) && f.now%7 == 0 {
		f.nxt = f.una // sent again from there
	}
}

// payload checks the bytes of a segment against what the program wrote.
func (f *foe) payload(seq tcp.Seq, b []byte) {
	if len(b) == 0 || !f.known {
		return
	}
	at := seq.Sub(f.irs + 1)
	if at < 0 || at+len(b) > f.k.end[1].sent {
		f.t.Fatalf("%d bytes at %d, the program wrote %d", len(b), at, f.k.end[1].sent)
	}
	if i := f.k.end[1].out.differs(b, at); i >= 0 {
		f.t.Fatalf("byte %d on the wire is wrong", at+i)
	}
	f.got.add(seq, seq.Add(len(b)))
	for _, r := range f.got {
		if r.lo.LEQ(f.rcv) && r.hi.GT(f.rcv) {
			f.rcv = r.hi
		}
	}
}

// quoted is an ICMP message about a segment that the stack sent, or did not.
func (f *foe) quoted(seq tcp.Seq, mtu int) {
	h := wire.TCPFields{SrcPort: f.port[1], DstPort: f.port[0], Seq: uint32(seq)}
	b := make([]byte, wire.EthernetLen+wire.IPv4Len+h.Len())
	(&wire.IPv4Fields{TTL: 64, Proto: wire.ProtoTCP, DF: true, Src: f.host[1].addr, Dst: f.host[0].addr, PayloadLen: 1480}).Put(b[wire.EthernetLen:])
	h.Put(b[wire.EthernetLen+wire.IPv4Len:])
	f.put(packet{at: f.now, to: f.host[1].nic, data: f.tooLarge(f.host[1], b, mtu)})
	if w := f.watch.flows[f.port]; w != nil {
		w.half[1].again.anew() // what was sent last goes again at once, smaller, if that is believed
	}
}

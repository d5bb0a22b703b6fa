package sim

import (
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/wire"
)

// moves are what a hostile, or just broken, peer does. N gives each its size.
var moves = []string{"ack unsent", "ack old", "ack part", "duplicate acks", "sack lies", "sack much", "close window", "small window", "open window",
	"reset in window", "reset behind", "syn in window", "syn again", "syn ack again", "data ahead", "data beyond", "data before", "overlap",
	"no flags", "all flags", "urgent", "old timestamp", "new timestamp", "options", "congestion", "deaf", "again", "tiny", "mtu", "silly mtu", "probe"}

func (f *foe) move(m *event) {
	n := int(m.N)
	ack := func(a tcp.Seq, change ...func(*wire.TCPFields)) { f.send(wire.ACK, f.nxt, a, nil, change...) }
	switch m.What {
	case "ack unsent":
		ack(f.rcv.Add(1 + n))
	case "ack old":
		ack(f.rcv.Add(-n))
	case "ack part": // in the middle of a segment
		ack(f.rcv.Add(-n % 700))
	case "duplicate acks":
		for range n % 20 {
			ack(f.rcv)
		}
	case "sack lies":
		ack(f.rcv, f.blocks(n, 4))
	case "sack much":
		for i := range n % 50 {
			ack(f.rcv, f.blocks(n*i, 3))
		}
	case "close window", "small window", "open window":
		f.wnd = map[string]uint16{"close window": 0, "small window": uint16(n % 3), "open window": 65535}[m.What]
		ack(f.rcv)
	case "deaf":
		f.deaf = f.now + m.For
	case "again":
		f.nxt = f.iss.Add(1 + n%(1+f.p.Bytes[0]))
	case "tiny":
		for i := range n % 60 {
			if b := f.data(f.nxt.Add(i), 1); len(b) > 0 && f.nxt.Add(i).LT(f.edge) {
				f.send(wire.ACK|wire.PSH, f.nxt.Add(i), f.rcv, b)
			}
		}
	case "mtu":
		f.quoted(f.rcv.Add(n%3-1), 68+n%1500)
	case "silly mtu":
		f.quoted(f.rcv, n%68)
	case "probe":
		f.send(wire.ACK, f.nxt-1, f.rcv, nil)
	default:
		f.segment(m.What, n)
	}
}

// segment are the moves that send data or control bits where they do not belong.
func (f *foe) segment(what string, n int) {
	end := f.iss.Add(1 + f.p.Bytes[0])
	from := func(seq tcp.Seq, flags wire.Flags) { f.send(wire.ACK|flags, seq, f.rcv, f.data(seq, 1+n%1400)) }
	switch what {
	case "reset in window": // a challenge, unless it is exact
		f.send(wire.RST, f.una.Add(1+n%1000), 0, nil)
	case "reset behind":
		f.send(wire.RST, f.una.Add(-1-n), 0, nil)
	case "syn in window":
		if f.open { // before, it would begin a connection
			f.send(wire.SYN, f.una.Add(n%1000), 0, nil)
		}
	case "syn again":
		f.send(wire.SYN, f.iss, 0, nil)
	case "syn ack again":
		f.send(wire.SYN|wire.ACK, f.iss, f.rcv, nil)
	case "data ahead":
		if f.una.Add(n).LT(end) {
			from(f.una.Add(n), 0)
		}
	case "data beyond":
		from(f.edge.Add(n), 0)
	case "data before":
		from(f.una.Add(-n%3000), 0)
	case "overlap":
		for i := range 8 {
			from(f.una.Add((n*(i+1))%5000), wire.PSH)
		}
	case "no flags":
		f.send(0, f.nxt, f.rcv, f.data(f.nxt, 10))
	case "all flags":
		f.send(0xff, f.nxt, f.rcv, nil)
	case "urgent":
		f.send(wire.ACK|wire.URG, f.una, f.rcv, f.data(f.una, 100), func(h *wire.TCPFields) { h.Urgent = uint16(n) })
	case "old timestamp":
		f.send(wire.ACK, f.una, f.rcv, f.data(f.una, 100), func(h *wire.TCPFields) { h.Options.TSVal -= uint32(n) })
	case "new timestamp":
		f.tsval += uint32(n)
	case "options": // of a SYN, in the middle
		f.send(wire.ACK, f.nxt, f.rcv, nil, func(h *wire.TCPFields) {
			h.Options.Set |= wire.HasMSS | wire.HasWScale | wire.HasSACKPerm
			h.Options.MSS, h.Options.WScale = uint16(n), 14
		})
	case "congestion":
		f.send(wire.ACK|wire.ECE|wire.CWR, f.nxt, f.rcv, nil)
	default:
		f.t.Fatalf("no move %q", what)
	}
}

// blocks are SACK blocks near what the stack has out, true by chance.
func (f *foe) blocks(n, count int) func(*wire.TCPFields) {
	return func(h *wire.TCPFields) {
		for i := range count {
			lo := f.rcv.Add(n*(i+3)%20_000 - 2000)
			h.Options.SACK[i] = wire.SACKBlock{Left: uint32(lo), Right: uint32(lo.Add(n*(i+1)%4000 - 100))}
		}
		h.Options.NSACK = uint8(count)
		if h.Options.Has(wire.HasTimestamp) {
			h.Options.NSACK = min(h.Options.NSACK, 3)
		}
	}
}

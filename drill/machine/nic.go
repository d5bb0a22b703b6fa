package machine

import (
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/wire"
)

var (
	ownMAC  = [6]byte{2, 0, 0, 0, 0, 1}
	peerMAC = [6]byte{2, 0, 0, 0, 0, 2}
)

// outgoing is an IP packet that left the stack.
type outgoing struct {
	at   int64 // ns
	data []byte
}

// nic is an efvi.VI whose wire is the script.
type nic struct {
	m      *Machine
	mem    []byte
	posted []uint32
	events []efvi.Event
	tx     []efvi.Event
	out    []outgoing
}

func (n *nic) Info() efvi.Info {
	return efvi.Info{Device: "drill", Ifindex: 1, MAC: ownMAC, MTU: n.m.conf.MTU}
}

func (n *nic) FD() int      { return -1 }
func (n *nic) Close() error { return nil }

func (n *nic) Post(frames []uint32) int {
	took := min(len(frames), 256-len(n.posted))
	n.posted = append(n.posted, frames[:took]...)
	return took
}

func (n *nic) Poll(ev []efvi.Event) int {
	c := copy(ev, n.events)
	n.events = append(n.events[:0], n.events[c:]...)
	return c
}

func (n *nic) Send(frame, off, size uint32) bool {
	if r := n.m.conf.Refuses; r != nil && r() {
		return false
	}
	n.tx = append(n.tx, efvi.Event{Kind: efvi.EventTX, Frame: frame, Off: off, Len: size})
	return true
}

func (n *nic) Flush() error {
	for _, t := range n.tx {
		data := n.mem[t.Frame*efvi.FrameSize+t.Off:][wire.EthernetLen:t.Len]
		n.out = append(n.out, outgoing{at: n.m.now, data: append([]byte(nil), data...)})
		n.events = append(n.events, efvi.Event{Kind: efvi.EventTX, Frame: t.Frame})
	}
	n.tx = n.tx[:0]
	return nil
}

const headroom = 256

// arrive hands an IP packet to the stack; without posted frames it is lost. Scripts have TCP segments that are longer than
// the link allows, as if a device had merged them: those lie in several frames.
func (n *nic) arrive(ip []byte) {
	const most = efvi.FrameSize - headroom
	size := wire.EthernetLen + len(ip)
	parts := (size + most - 1) / most
	if len(n.posted) < parts || len(ip) == 0 || parts > efvi.MaxPartsIn {
		return
	}
	typ := uint16(wire.TypeIPv4)
	if ip[0]>>4 == 6 {
		typ = wire.TypeIPv6
	}
	frame := make([]byte, size)
	(&wire.EthernetFields{Dst: ownMAC, Src: peerMAC, Type: typ}).Put(frame)
	copy(frame[wire.EthernetLen:], ip)
	for i, f := range n.posted[:parts] {
		e := efvi.Event{Kind: efvi.EventPart, Frame: f, Off: headroom}
		if i == parts-1 {
			e.Kind = efvi.EventRX
		}
		e.Len = uint32(copy(n.mem[f*efvi.FrameSize+headroom:(f+1)*efvi.FrameSize], frame))
		frame = frame[e.Len:]
		n.events = append(n.events, e)
	}
	n.posted = append(n.posted[:0], n.posted[parts:]...)
}

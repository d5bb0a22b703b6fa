package micro

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// headroom is where in a frame received bytes begin, as the kernel does it for XDP.
const headroom = 256

var ownMAC, peerMAC = [6]byte{2}, [6]byte{2, 1}

// feeder is a device whose other end is the test: it gives the stack packets and takes its answers.
type feeder struct {
	mem    efvi.Memory
	posted []uint32
	events []efvi.Event
	sent   int
	last   [256]byte // the last packet that went out, its beginning
}

func (f *feeder) Info() efvi.Info {
	return efvi.Info{Device: "feeder", Ifindex: 1, MAC: ownMAC, MTU: mtu}
}
func (f *feeder) FD() int      { return -1 }
func (f *feeder) Close() error { return nil }
func (f *feeder) Flush() error { return nil }

func (f *feeder) Post(frames []uint32) int {
	n := min(len(frames), 1024-len(f.posted))
	f.posted = append(f.posted, frames[:n]...)
	return n
}

func (f *feeder) Poll(ev []efvi.Event) int {
	n := copy(ev, f.events)
	f.events = f.events[:copy(f.events, f.events[n:])]
	return n
}

func (f *feeder) Send(frame, off, n uint32) bool {
	f.sent++
	copy(f.last[:], f.mem.Frame(frame)[off:off+n])
	f.events = append(f.events, efvi.Event{Kind: efvi.EventTX, Frame: frame})
	return true
}

// receive puts a packet into a posted frame, as a device does.
func (f *feeder) receive(b []byte) {
	frame := f.posted[len(f.posted)-1]
	f.posted = f.posted[:len(f.posted)-1]
	copy(f.mem.Frame(frame)[headroom:], b)
	f.events = append(f.events, efvi.Event{Kind: efvi.EventRX, Frame: frame, Off: headroom, Len: uint32(len(b))})
}

// peer makes the segments of the other end by hand.
type peer struct {
	seq, ack uint32
	ts       uint32 // the stack's last timestamp
	packet   []byte
	partial  uint16 // sum of the packet but for seq
}

const (
	tcpAt  = wire.EthernetLen + wire.IPv4Len
	seqAt  = tcpAt + 4
	sumAt  = tcpAt + 16
	mss    = mtu - wire.IPv4Len - wire.TCPLen
	tsLen  = 12 // of the timestamp option with its padding
	segLen = mss - tsLen
)

func (p *peer) build(flags wire.Flags, opts wire.TCPOptions, payload int) []byte {
	h := wire.TCPFields{SrcPort: 40000, DstPort: server.Port(), Seq: p.seq, Ack: p.ack, Flags: flags, Window: 65535, Options: &opts}
	n := h.Len() + payload
	b := make([]byte, tcpAt+n)
	(&wire.EthernetFields{Dst: ownMAC, Src: peerMAC, Type: 0x0800}).Put(b)
	(&wire.IPv4Fields{TTL: 64, Proto: 6, DF: true, Src: clientIP, Dst: serverIP, PayloadLen: n}).Put(b[wire.EthernetLen:])
	h.Put(b[tcpAt:])
	src, dst := clientIP.As4(), serverIP.As4()
	pseudo := wire.PseudoSum(append(src[:], dst[:]...), 6, n)
	wire.PutTCPChecksum(b[tcpAt:], h.Len(), pseudo, wire.Sum(b[tcpAt+h.Len():]))
	p.partial = wire.Add(^binary.BigEndian.Uint16(b[sumAt:]), ^wire.AddUint32(0, p.seq))
	return b
}

// next is the data segment with the sequence number of now: only that and the checksum change.
func (p *peer) next() []byte {
	binary.BigEndian.PutUint32(p.packet[seqAt:], p.seq)
	binary.BigEndian.PutUint16(p.packet[sumAt:], ^wire.AddUint32(p.partial, p.seq))
	p.seq += segLen
	return p.packet
}

// established does the handshake by hand and returns the accepted socket.
func established(b *testing.B) (*peer, *feeder, func(int64), *usock.Socket) {
	f := &feeder{mem: memory()}
	p, poll, s := handshake(b, f, f)
	p.packet = p.build(wire.ACK|wire.PSH, wire.TCPOptions{Set: wire.HasTimestamp, TSVal: 1, TSEcr: p.ts}, segLen)
	return p, f, poll, s
}

// handshake connects the peer at the feeder f, which is what vi is made of.
func handshake(b *testing.B, vi efvi.VI, f *feeder) (*peer, func(int64), *usock.Socket) {
	st := newStack(f.mem, way{serverIP, clientIP, peerMAC})
	st.AddVI(vi)
	l, err := st.Listen(now(), netip.AddrPortFrom(serverIP, server.Port()), 16)
	if err != nil {
		b.Fatal(err)
	}
	p := &peer{seq: 1000}
	f.receive(p.build(wire.SYN, wire.TCPOptions{Set: wire.HasMSS | wire.HasWScale | wire.HasSACKPerm | wire.HasTimestamp, MSS: mss, WScale: 7, TSVal: 1}, 0))
	st.Poll(now(), budget)
	answer := wire.TCP(f.last[tcpAt:])
	var o wire.TCPOptions
	o.Parse(answer.Options())
	p.seq, p.ack, p.ts = 1001, answer.Seq()+1, o.TSVal
	f.receive(p.build(wire.ACK, wire.TCPOptions{Set: wire.HasTimestamp, TSVal: 1, TSEcr: p.ts}, 0))
	st.Poll(now(), budget)
	s, err := l.Accept(now())
	if err != nil {
		b.Fatal(err)
	}
	return p, func(t int64) { st.Poll(t, budget) }, s
}

// BenchmarkSegment is a full segment in, its data to the program, and its ACK out (one for two segments, as TCP delays them).
func BenchmarkSegment(b *testing.B) {
	p, f, poll, s := established(b)
	in := [][]byte{make([]byte, segLen)}
	f.sent = 0
	n := 0
	b.SetBytes(segLen)
	b.ReportAllocs()
	for b.Loop() {
		f.receive(p.next())
		poll(now())
		if got, _, err := s.Recv(now(), in, 0); err != nil || got != segLen {
			b.Fatal(got, err)
		}
		n++
	}
	b.ReportMetric(float64(f.sent)/float64(n), "acks/op")
}

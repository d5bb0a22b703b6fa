package netstack

import (
	"context"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	tcpAt  = header.IPv4MinimumSize
	seqAt  = tcpAt + 4
	sumAt  = tcpAt + 16
	mss    = mtu - header.IPv4MinimumSize - header.TCPMinimumSize
	tsLen  = 12 // of the timestamp option with its padding
	segLen = mss - tsLen
)

// peer makes the segments of the other end by hand.
type peer struct {
	seq, ack, ts uint32
	packet       []byte
	partial      uint16 // sum of the packet but for seq
}

func (p *peer) build(flags header.TCPFlags, options []byte, payload int) []byte {
	head := header.TCPMinimumSize + len(options)
	b := make([]byte, tcpAt+head+payload)
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(tcp.ProtocolNumber), SrcAddr: clientIP, DstAddr: serverIP, Flags: header.IPv4FlagDontFragment})
	ip.SetChecksum(^ip.CalculateChecksum())
	t := header.TCP(b[tcpAt:])
	t.Encode(&header.TCPFields{SrcPort: 40000, DstPort: port, SeqNum: p.seq, AckNum: p.ack, DataOffset: uint8(head), Flags: flags, WindowSize: 65535})
	copy(b[tcpAt+header.TCPMinimumSize:], options)
	sum := header.PseudoHeaderChecksum(tcp.ProtocolNumber, clientIP, serverIP, uint16(head+payload))
	sum = checksum.Checksum(b[tcpAt:], sum)
	t.SetChecksum(^sum)
	p.partial = checksum.Combine(sum, ^folded(p.seq))
	return b
}

func folded(v uint32) uint16 { return checksum.Combine(uint16(v>>16), uint16(v)) }

// next is the data segment with the sequence number of now: only that and the checksum change.
func (p *peer) next() []byte {
	binary.BigEndian.PutUint32(p.packet[seqAt:], p.seq)
	binary.BigEndian.PutUint16(p.packet[sumAt:], ^checksum.Combine(p.partial, folded(p.seq)))
	p.seq += segLen
	return p.packet
}

func inject(e *channel.Endpoint, b []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	e.InjectInbound(ipv4.ProtocolNumber, pkt)
	pkt.DecRef()
}

func timestamp(value, echo uint32) []byte {
	b := []byte{1, 1, 8, 10, 11: 0}
	binary.BigEndian.PutUint32(b[4:], value)
	binary.BigEndian.PutUint32(b[8:], echo)
	return b
}

// established does the handshake by hand.
func established(b *testing.B) (*peer, *channel.Endpoint, tcpip.Endpoint, *waiter.Queue) {
	link := channel.New(4096, mtu, "\x02\x00\x00\x00\x00\x01")
	st := newStack(b, link, serverIP)
	var q waiter.Queue
	l, err := st.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &q)
	check(b, err)
	check(b, l.Bind(server))
	check(b, l.Listen(16))
	come, in := waiter.NewChannelEntry(waiter.ReadableEvents)
	q.EventRegister(&come)
	p := &peer{seq: 1000}
	syn := append([]byte{2, 4, mss >> 8, mss & 0xff, 1, 3, 3, 7, 1, 1, 4, 2}, timestamp(1, 0)...)
	inject(link, p.build(header.TCPFlagSyn, syn, 0))
	answer := link.ReadContext(context.Background())
	t := header.TCP(answer.TransportHeader().Slice())
	p.seq, p.ack, p.ts = 1001, t.SequenceNumber()+1, header.ParseSynOptions(t.Options(), true).TSVal
	answer.DecRef()
	inject(link, p.build(header.TCPFlagAck, timestamp(1, p.ts), 0))
	s, sq, err := l.Accept(nil)
	for ; err != nil; s, sq, err = l.Accept(nil) {
		<-in
	}
	p.packet = p.build(header.TCPFlagAck|header.TCPFlagPsh, timestamp(1, p.ts), segLen)
	return p, link, s, sq
}

// BenchmarkSegment is a full segment in, its data to the program, and its ACK out.
func BenchmarkSegment(b *testing.B) {
	p, link, s, q := established(b)
	defer s.Close()
	come, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	q.EventRegister(&come)
	in := make([]byte, segLen)
	n, acks := 0, 0
	b.SetBytes(segLen)
	b.ReportAllocs()
	for b.Loop() {
		inject(link, p.next())
		for got := 0; got < segLen; {
			<-readable
			w := tcpip.SliceWriter(in)
			r, err := s.Read(&w, tcpip.ReadOptions{})
			if err != nil {
				if _, again := err.(*tcpip.ErrWouldBlock); again {
					continue
				}
				b.Fatal(err)
			}
			got += r.Count
		}
		acks += link.Drain()
		n++
	}
	b.ReportMetric(float64(acks)/float64(n), "acks/op")
}

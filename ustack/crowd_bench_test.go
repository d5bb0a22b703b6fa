package ustack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/cabi/hugepages"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// crowd is one stack with many established connections, some of which do something: their peers ask, the program answers. Device and peers are as little as can be, so that what is measured is the stack.
type crowd struct {
	*Stack
	crowdNIC
	now    int64
	active []crowdConn
	i      int
	frame  [256]byte
	buf    [200]byte
	iov    [1][]byte
}

// crowdNIC is the device: what is sent is done at once.
type crowdNIC struct {
	mem    []byte
	posted []uint32
	sent   []uint32
	events []efvi.Event
}

type crowdConn struct {
	s        *usock.Socket
	seq, ack uint32
	remote   [4]byte
	port     uint16
}

var (
	crowdLocal = netip.MustParseAddr("10.0.0.1")
	crowdMAC   = [6]byte{2, 0, 0, 0, 0, 1}
)

// newCrowd makes conns connections, of which some, chosen by chance, are active.
func newCrowd(t testing.TB, conns, active int) *crowd {
	k := &crowd{now: 1e12, crowdNIC: crowdNIC{mem: make([]byte, (1024+4*active)*efvi.FrameSize)}}
	n := uint64(conns)
	p := tcp.DefaultParams()
	p.Timestamps = false
	k.Stack = New(Config{Pool: pbuf.New(k.mem, efvi.FrameSize), Params: p, Routes: crowdRoutes{}, Sink: crowdSink{},
		Rand: func() uint64 { n = n*6364136223846793005 + 1442695040888963407; return n }})
	k.AddVI(&k.crowdNIC)
	all := make([]crowdConn, conns)
	var huge hugepages.Heap // as the engine has it
	for i := range all {
		f := tcp.Flow{Local: netip.AddrPortFrom(crowdLocal, 80),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(1024+i&255))}
		seq, ack := uint32(i)*7919, uint32(i)*104729
		s, err := k.Adopt(k.now, &tcp.Snapshot{Flow: f, State: tcp.Established, SndUna: tcp.Seq(ack), SndNxt: tcp.Seq(ack),
			RcvNxt: tcp.Seq(seq), RcvWup: tcp.Seq(seq), MSS: 1460, SACK: true, Scaling: true, SndScale: 7, RcvScale: 7,
			SndWnd: 1 << 20, MaxWnd: 1 << 20, RcvWnd: 65536, SndWL1: tcp.Seq(seq), Options: tcp.DefaultOptions()}, false)
		if err != nil {
			t.Fatal(err)
		}
		if conns >= 4096 {
			hugepages.Below(&huge, s)
		}
		all[i] = crowdConn{s, seq, ack, f.Remote.Addr().As4(), f.Remote.Port()}
	}
	rng := rand.New(rand.NewPCG(1, uint64(conns)))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	k.active = append([]crowdConn(nil), all[:active]...)
	return k
}

// request is one exchange of a connection: a segment of 100 bytes comes in, is read and answered with 100 bytes, and the
// answer is acknowledged by the next request's segment.
func (k *crowd) request(t testing.TB) { k.requests(t, 1) }

// requests are n exchanges of as many connections, whose segments come in at once.
func (k *crowd) requests(t testing.TB, n int) {
	k.now += int64(n) * 20_000
	for i := range n {
		k.arrive(k.conn(i))
	}
	k.Stack.Poll(k.now, 64)
	for i := range n {
		k.answer(t, k.conn(i))
	}
	k.i = (k.i + n) % len(k.active)
}

func (k *crowd) conn(i int) *crowdConn { return &k.active[(k.i+i)%len(k.active)] }

func (k *crowd) answer(t testing.TB, c *crowdConn) {
	k.iov[0] = k.buf[:]
	n, _, err := c.s.Recv(k.now, k.iov[:], 0)
	if n != 100 || err != nil {
		t.Fatal(n, err)
	}
	k.iov[0] = k.buf[:100]
	if n, err = c.s.Send(k.now, k.iov[:], 0); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	c.seq += 100
	c.ack += 100
}

// arrive puts a request into a receive ring.
func (k *crowd) arrive(c *crowdConn) {
	b := k.frame[:wire.EthernetLen+wire.IPv4Len+wire.TCPLen+100]
	(&wire.EthernetFields{Dst: crowdMAC, Type: wire.TypeIPv4}).Put(b)
	(&wire.IPv4Fields{TTL: 64, Proto: wire.ProtoTCP, DF: true, Src: netip.AddrFrom4(c.remote), Dst: crowdLocal, PayloadLen: wire.TCPLen + 100}).Put(b[14:])
	(&wire.TCPFields{SrcPort: c.port, DstPort: 80, Seq: c.seq, Ack: c.ack, Flags: wire.ACK | wire.PSH, Window: 8192}).Put(b[34:])
	binary.BigEndian.PutUint16(b[50:], wire.PseudoSum(b[26:34], wire.ProtoTCP, wire.TCPLen+100))
	at := k.posted[0]
	k.posted = k.posted[:copy(k.posted, k.posted[1:])]
	copy(k.mem[int(at)*efvi.FrameSize+256:], b)
	k.events = append(k.events, efvi.Event{Kind: efvi.EventRX, Frame: at, Off: 256, Len: uint32(len(b))})
}

func (k *crowdNIC) Info() efvi.Info {
	return efvi.Info{Device: "crowd", Ifindex: 1, MAC: crowdMAC, MTU: 1500, PartialChecksum: true}
}
func (k *crowdNIC) Post(f []uint32) int {
	n := min(len(f), 64-len(k.posted))
	k.posted = append(k.posted, f[:n]...)
	return n
}
func (k *crowdNIC) Send(f, _, _ uint32) bool { k.sent = append(k.sent, f); return true }
func (k *crowdNIC) Flush() error {
	for _, f := range k.sent {
		k.events = append(k.events, efvi.Event{Kind: efvi.EventTX, Frame: f})
	}
	k.sent = k.sent[:0]
	return nil
}
func (k *crowdNIC) Poll(ev []efvi.Event) int {
	n := copy(ev, k.events)
	k.events = k.events[:copy(k.events, k.events[n:])]
	return n
}

func (k *crowdNIC) FD() int      { return -1 }
func (k *crowdNIC) Close() error { return nil }

type crowdRoutes struct{}

func (crowdRoutes) Route(dst, _ netip.Addr) (Hop, error) {
	return Hop{Ifindex: 1, MTU: 1500, Src: crowdLocal, NextHop: dst, Resolved: true}, nil
}
func (crowdRoutes) Resolve(int, netip.Addr) {}
func (crowdRoutes) Generation() uint64      { return 1 }

type crowdSink struct{}

func (crowdSink) Ready(*usock.Socket) {}

// BenchmarkRequest is one request and its answer. Ten active connections among ever more show what the number costs; one
// in a hundred active shows what the active ones' own memory costs, too: a thousand do not fit into the nearer caches.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct{ conns, active int }{{10, 10}, {1000, 10}, {10_000, 10}, {100_000, 10}, {10_000, 100}, {100_000, 1000}} {
		b.Run(fmt.Sprintf("%d of %d", c.active, c.conns), func(b *testing.B) {
			k := newCrowd(b, c.conns, c.active)
			for range 20_000 {
				k.request(b)
			}
			b.ReportAllocs()
			for b.Loop() {
				k.request(b)
			}
		})
	}
}

// BenchmarkCrowd compares 100,000 connections with few of which as many are active, in turns of some milliseconds, and reports the median
// of the ratios of CPU time. A thousand of a thousand beside ten of ten shows what the working set of a thousand costs, wherever it lies; a batch is how
// many requests are found by one Poll.
func BenchmarkCrowd(b *testing.B) {
	for _, c := range []struct{ of, conns, active, batch int }{
		{10, 100_000, 10, 1}, {100, 100_000, 100, 1}, {1000, 100_000, 1000, 1}, {1000, 100_000, 1000, 8},
		{10, 1000, 1000, 1}, {10, 100_000, 1000, 1},
	} {
		b.Run(fmt.Sprintf("%d of %d active beside %d of %d, batches of %d", c.active, c.conns, min(c.of, c.active), c.of, c.batch), func(b *testing.B) {
			compareCrowds(b, newCrowd(b, c.of, min(c.of, c.active)), newCrowd(b, c.conns, c.active), c.batch)
		})
	}
}

func compareCrowds(b *testing.B, few, many *crowd, batch int) {
	runtime.GC()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	turn := func(k *crowd) float64 {
		const n = 4000
		at := threadTime(b)
		for range n / batch {
			k.requests(b, batch)
		}
		return float64(threadTime(b)-at) / n
	}
	var ratios, base, more []float64
	turn(few)
	turn(many)
	for b.Loop() {
		x := turn(few)
		y := turn(many)
		ratios, base, more = append(ratios, y/x), append(base, x), append(more, y-x)
	}
	for name, v := range map[string][]float64{"median-ratio": ratios, "ns/request-of-few": base, "ns/request-more": more} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
}

// threadTime is the CPU time of this thread in ns: others on the machine do not count.
func threadTime(t testing.TB) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}

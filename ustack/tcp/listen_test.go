package tcp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// crowd is a listener and many peers, which differ by port.
type crowd struct {
	t   *testing.T
	now int64
	h   *Host
	l   *Listener
	out map[netip.AddrPort][]Header
}

func newCrowd(t *testing.T, backlog int, change ...func(*Params)) *crowd {
	p := DefaultParams()
	for _, f := range change {
		f(p)
	}
	k := &crowd{t: t, now: 1e12, out: map[netip.AddrPort][]Header{}}
	pool := pbuf.New(make([]byte, 256*4096), 4096)
	n := uint64(7)
	k.h = NewHost(p, pool, func() uint64 { n = n*6364136223846793005 + 99; return n })
	k.l = Listen(k.h, Flow{Local: netip.MustParseAddrPort("10.0.0.1:80")}, backlog)
	return k
}

func (k *crowd) Segment(c *Conn, h *Header, _ *pbuf.Buf, _, _ int) bool { return k.Reply(&c.Flow, h) }
func (k *crowd) Reply(f *Flow, h *Header) bool {
	k.out[f.Remote] = append(k.out[f.Remote], *h)
	return true
}

func (k *crowd) flow(i int) Flow {
	return Flow{Local: k.l.Local.Local, Remote: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(1000+i))}
}

func (k *crowd) input(i int, s *Segment) *Conn {
	f := k.flow(i)
	return k.l.Input(k.now, &f, s, Path{1500}, 0, k)
}

// sent takes what peer i was sent.
func (k *crowd) sent(i int) []Header {
	f := k.flow(i)
	l := k.out[f.Remote]
	delete(k.out, f.Remote)
	return l
}

func (k *crowd) syn(i int) {
	s := &Segment{Flags: wire.SYN, Seq: Seq(i * 1000), Wnd: 65535, Ifindex: 2, Queue: i % 4}
	s.Opts = wire.TCPOptions{Set: wire.HasMSS | wire.HasSACKPerm | wire.HasTimestamp | wire.HasWScale, MSS: 1460, WScale: 7, TSVal: 5}
	require.Nil(k.t, k.input(i, s))
}

// ack is the last ACK of peer i's handshake, to the SYN-ACK h.
func (k *crowd) ack(i int, h Header, data int) *Conn {
	s := &Segment{Flags: wire.ACK, Seq: Seq(i*1000 + 1), Ack: h.Seq + 1, Wnd: 500, Payload: make([]byte, data)}
	if h.Opts.Has(wire.HasTimestamp) {
		s.Opts = wire.TCPOptions{Set: wire.HasTimestamp, TSVal: 6, TSEcr: h.Opts.TSVal}
	}
	return k.input(i, s)
}

// open brings peer i into the accept queue, if it is let in.
func (k *crowd) open(i int) *Conn {
	k.syn(i)
	h := k.sent(i)
	require.Len(k.t, h, 1)
	return k.ack(i, h[0], 0)
}

func (k *crowd) advance(d time.Duration) {
	for end := k.now + int64(d); ; {
		at := k.l.Deadline()
		if at == 0 || at > end {
			k.now = end
			return
		}
		k.now = max(at, k.now)
		k.l.OnTimer(k.now, k)
	}
}

func TestAcceptQueueHoldsBacklogPlusOne(t *testing.T) {
	k := newCrowd(t, 2)
	for i := range 3 {
		require.NotNil(t, k.open(i))
	}
	require.Equal(t, 3, k.l.Waiting())
	k.syn(3) // dropped without an answer
	require.Empty(t, k.sent(3))
	require.EqualValues(t, 1, k.h.MIB.ListenOverflows)
	require.EqualValues(t, 1, k.h.MIB.ListenDrops)
	for i := range 3 {
		require.Equal(t, k.flow(i), k.l.Accept(k.now).Flow, "oldest first")
	}
	require.Nil(t, k.l.Accept(k.now))
}

func TestBacklogIsBoundedBySomaxconn(t *testing.T) {
	k := newCrowd(t, 100000)
	require.Equal(t, 4096, k.l.Backlog())
	k.l.SetBacklog(-1)
	require.Equal(t, 4096, k.l.Backlog())
	k.l.SetBacklog(0)
	require.Equal(t, 0, k.l.Backlog())
	require.NotNil(t, k.open(0))
}

func TestFullAcceptQueueDropsTheLastAck(t *testing.T) {
	k := newCrowd(t, 0)
	k.syn(0)
	h0 := k.sent(0)
	require.NotNil(t, k.open(1))
	require.Nil(t, k.ack(0, h0[0], 0), "dropped")
	require.Empty(t, k.sent(0))
	require.Equal(t, 1, k.l.HalfOpens())
	k.advance(time.Second)
	require.Len(t, k.sent(0), 1, "the SYN-ACK is sent again")
	require.NotNil(t, k.l.Accept(k.now))
	require.NotNil(t, k.ack(0, h0[0], 0), "now there is room")
}

func TestAbortOnOverflow(t *testing.T) {
	k := newCrowd(t, 0, func(p *Params) { p.AbortOverflow = true })
	k.syn(0)
	h0 := k.sent(0)
	require.NotNil(t, k.open(1))
	require.Nil(t, k.ack(0, h0[0], 0))
	require.True(t, k.sent(0)[0].Flags.Any(wire.RST))
	require.Zero(t, k.l.HalfOpens())
}

func TestFloodIsAnsweredWithCookies(t *testing.T) {
	// RFC 4987 §3.6
	k := newCrowd(t, 10)
	for i := range 1000 {
		k.syn(i)
	}
	require.Equal(t, 11, k.l.HalfOpens())
	require.EqualValues(t, 989, k.h.MIB.SyncookiesSent)
	require.LessOrEqual(t, len(k.l.half.recs), 11, "no memory for the others")

	h := k.sent(500)
	require.Len(t, h, 1)
	k.now += 3e9
	c := k.ack(500, h[0], 10)
	require.NotNil(t, c)
	require.Equal(t, Established, c.State())
	require.EqualValues(t, 1, k.h.MIB.SyncookiesRecv)
	require.Equal(t, 10, c.InQ())
	require.True(t, c.is(flagTS) && c.is(flagSACK) && c.is(flagWScale), "options came back by the timestamp")
	require.EqualValues(t, 7, c.sndScale)
	require.Equal(t, 1448, c.snd.mss)

	require.Nil(t, k.ack(501, Header{Seq: 12345}, 0), "a forged one")
	require.True(t, k.sent(501)[1].Flags.Any(wire.RST))
	require.EqualValues(t, 1, k.h.MIB.SyncookiesFailed)
}

// A burst of connections with the peers' first data behind each, taken at once, before the program accepts.
func TestACookieIsRememberedUntilThereIsRoom(t *testing.T) {
	k := newCrowd(t, 1)
	var h [3][]Header
	for i := range h {
		k.syn(i)
		h[i] = k.sent(i)
	}
	require.EqualValues(t, 1, k.h.MIB.SyncookiesSent)
	require.NotNil(t, k.ack(0, h[0][0], 0))
	require.NotNil(t, k.ack(1, h[1][0], 0))
	require.Nil(t, k.ack(2, h[2][0], 0), "there is no room")
	second := &Segment{Flags: wire.ACK, Seq: 2001 + 1448, Ack: h[2][0].Seq + 1, Wnd: 500, Payload: make([]byte, 1448)}
	second.Opts = wire.TCPOptions{Set: wire.HasTimestamp, TSVal: 6, TSEcr: h[2][0].Opts.TSVal}
	require.Nil(t, k.input(2, second))
	require.Empty(t, k.sent(2), "no reset")
	require.NotNil(t, k.l.Accept(k.now))
	c := k.ack(2, h[2][0], 1448)
	require.NotNil(t, c)
	require.Equal(t, 1448, c.InQ())
	require.True(t, c.is(flagTS) && c.is(flagSACK) && c.is(flagWScale))
	require.Zero(t, k.l.HalfOpens())
}

func TestOldCookieIsRefused(t *testing.T) {
	k := newCrowd(t, 0)
	k.syn(0)
	k.syn(1)
	h := k.sent(1)
	require.EqualValues(t, 1, k.h.MIB.SyncookiesSent)
	k.now += 5 * 60e9
	require.Nil(t, k.ack(1, h[0], 0))
	require.True(t, k.sent(1)[0].Flags.Any(wire.RST))
}

func TestNoCookiesDropsInstead(t *testing.T) {
	k := newCrowd(t, 10, func(p *Params) { p.SYNCookies = 0 })
	for i := range 20 {
		k.syn(i)
	}
	require.Equal(t, 11, k.l.HalfOpens())
	require.Empty(t, k.sent(15))
	require.EqualValues(t, 9, k.h.MIB.TCPReqQFullDrop)
}

func TestOldRequestsMakeRoom(t *testing.T) {
	// More than half full of old ones: they get fewer SYN-ACKs than tcp_synack_retries.
	k := newCrowd(t, 16)
	for i := range 17 {
		k.syn(i)
	}
	k.advance(20 * time.Second)
	require.LessOrEqual(t, k.l.HalfOpens(), 8, "half of the room is for young ones")
	require.Less(t, len(k.sent(0)), 6)
}

func TestDeferAccept(t *testing.T) {
	k := newCrowd(t, 5)
	require.NoError(t, k.l.SetOption(k.now, solTCP, tcpDeferAccept, optInt(3)))
	k.syn(0)
	h := k.sent(0)
	require.Nil(t, k.ack(0, h[0], 0), "a bare ACK is not enough")
	require.EqualValues(t, 1, k.h.MIB.TCPDeferAcceptDrop)
	k.now += 1e8
	require.NotNil(t, k.ack(0, h[0], 10), "data is")

	k.syn(1)
	h = k.sent(1)
	require.Nil(t, k.ack(1, h[0], 0))
	k.advance(3 * time.Second) // the time is over: the SYN-ACK again, as a last chance
	h = k.sent(1)
	require.Len(t, h, 1)
	require.NotNil(t, k.ack(1, h[0], 0))
}

func TestHalfOpensAreCountedByQueue(t *testing.T) {
	k := newCrowd(t, 100)
	for i := range 10 {
		k.syn(i)
	}
	require.Equal(t, 3, k.l.HalfOpen(2, 0))
	require.Equal(t, 2, k.l.HalfOpen(2, 3))
	require.Zero(t, k.l.HalfOpen(3, 0))
}

func TestListenerCloses(t *testing.T) {
	k := newCrowd(t, 5)
	require.NotNil(t, k.open(0))
	k.syn(1)
	k.sent(1)
	k.l.Close(k.now, k)
	require.True(t, k.sent(0)[0].Flags.Any(wire.RST))
	require.Empty(t, k.sent(1))
	require.Zero(t, k.l.Deadline())
}

func TestTakeOutOfAcceptQueue(t *testing.T) {
	k := newCrowd(t, 5)
	var c [4]*Conn
	for i := range c {
		c[i] = k.open(i)
	}
	require.True(t, k.l.Take(c[2]))
	require.False(t, k.l.Take(c[2]))
	require.True(t, k.l.Push(c[2]))
	order := []*Conn{}
	k.l.Each(func(c *Conn) bool { order = append(order, c); return true })
	require.Equal(t, []*Conn{c[0], c[1], c[3], c[2]}, order)
}

func TestEcnIsAgreedOn(t *testing.T) {
	// "Host A sends an ECN-setup SYN packet, and Host B sends an ECN-setup SYN-ACK packet" RFC 3168 §6.1.1
	for ecn, want := range map[int]bool{0: false, 1: true, 2: true} {
		r := newRig(t, func(p *Params) { p.ECN = ecn })
		r.listen(1)
		r.send("SEW 0:0(0) win 65535 <mss 1460,sackOK>")
		if !want {
			r.want("S. 0:0(0) ack 1")
			continue
		}
		r.want("S.E 0:0(0) ack 1")
		r.send(". 1:1(0) ack 1")
		r.send("P. 1:11(10) ack 1 ce 1")
		r.want(".E 1:1(0) ack 11") // "until it receives a CWR packet"
		r.send("P.W 11:21(10) ack 1")
		r.want(". 1:1(0) ack 21")
		r.write(10)
		require.True(t, r.out[0].h.ECT)
	}
}

func TestEcnAsked(t *testing.T) {
	r := newRig(t, func(p *Params) { p.ECN = 1 })
	r.dial(nil)
	r.want("SEW 0:0(0)")
	r.send("S.E 0:0(0) ack 1 <mss 1460>")
	r.want(". 1:1(0) ack 1")
	require.True(t, r.c.snd.ecn.ok)
	r = newRig(t, func(p *Params) { p.ECN = 1 })
	r.dial(nil)
	r.want("SEW 0:0(0)")
	r.send("S. 0:0(0) ack 1 <mss 1460>")
	r.want(". 1:1(0) ack 1")
	require.False(t, r.c.snd.ecn.ok)
}

func BenchmarkSYNFlood(b *testing.B) {
	k := newCrowd(&testing.T{}, 128)
	s := &Segment{Flags: wire.SYN, Wnd: 65535}
	s.Opts = wire.TCPOptions{Set: wire.HasMSS | wire.HasTimestamp, MSS: 1460, TSVal: 5}
	f := k.flow(0)
	b.ReportAllocs()
	for i := range b.N {
		f.Remote = netip.AddrPortFrom(f.Remote.Addr(), uint16(i))
		s.Seq = Seq(i)
		k.l.Input(k.now, &f, s, Path{1500}, 0, nullOut{})
	}
}

func TestFloodAllocatesNothing(t *testing.T) {
	k := newCrowd(t, 8)
	s := &Segment{Flags: wire.SYN, Wnd: 65535}
	f := k.flow(0)
	i := uint16(0)
	syn := func() {
		i++
		f.Remote = netip.AddrPortFrom(f.Remote.Addr(), i)
		k.l.Input(k.now, &f, s, Path{1500}, 0, nullOut{})
	}
	for range 20 {
		syn()
	}
	require.Zero(t, testing.AllocsPerRun(1000, syn))
}

func ExampleState() {
	fmt.Println(Established, CloseWait)
	// Output: ESTABLISHED CLOSE-WAIT
}

// TestUrge: SYN-ACKs of one queue are repeated when asked for, each once, and count as any repetition.
func TestUrge(t *testing.T) {
	k := newCrowd(t, 100)
	for i := range 8 { // by queues 0 to 3
		k.syn(i)
	}
	k.advance(1100 * time.Millisecond)
	for i := 8; i < 16; i++ {
		k.syn(i)
	}
	first := map[int]Header{}
	for i := range 16 {
		h := k.sent(i)
		require.Len(t, h, map[bool]int{true: 2, false: 1}[i < 8], i)
		first[i] = h[0]
	}
	repeated := k.h.MIB.RetransSegs
	k.l.Urge(k.now, 2, 1, k)
	for i := range 16 {
		h := k.sent(i)
		if i%4 != 1 {
			require.Empty(t, h, i)
			continue
		}
		require.Len(t, h, 1, i)
		require.Equal(t, first[i].Seq, h[0].Seq)
	}
	require.EqualValues(t, 4, k.h.MIB.RetransSegs-repeated)
	k.l.Urge(k.now, 3, 1, k)
	require.Empty(t, k.out, "of another device")
	k.advance(1900 * time.Millisecond)
	require.Empty(t, k.sent(1))
	require.Empty(t, k.sent(9), "the next is due when it would be after a second timeout")
	require.Len(t, k.sent(8), 1)
	require.NotNil(t, k.ack(1, first[1], 0))
	require.NotNil(t, k.ack(9, first[9], 0))
	for range 20 {
		k.l.Urge(k.now, 2, 1, k)
	}
	require.Len(t, k.sent(5), 20)
	k.advance(10 * time.Minute)
	require.Zero(t, k.l.HalfOpens())
}

package tcp

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// quiet takes what is sent and keeps nothing; frames carry what comes in.
type quiet struct{ segs int }

func (q *quiet) Segment(*Conn, *Header, *pbuf.Buf, int, int) bool { q.segs++; return true }
func (q *quiet) Reply(*Flow, *Header) bool                        { q.segs++; return true }

// steady is an established connection with timestamps, SACK and scaling, and how to drive it without allocating.
type steady struct {
	*rig
	q   quiet
	seg Segment
	iov [][]byte
}

func newSteady(t testing.TB, change ...func(*Params)) *steady {
	s := &steady{rig: established(t, append([]func(*Params){withTS, func(p *Params) { p.WindowScaling = true }}, change...)...)}
	s.iov = [][]byte{make([]byte, 1448)}
	return s
}

// in gives the connection a segment of n bytes, off bytes ahead of its turn.
func (s *steady) in(off, n int, sack ...wire.SACKBlock) {
	c := s.c
	s.seg = Segment{Flags: wire.ACK | wire.PSH, Seq: c.rcvNxt.Add(off), Ack: c.snd.una, Wnd: 60000, Ifindex: 1}
	s.seg.Opts = wire.TCPOptions{Set: wire.HasTimestamp, TSVal: c.paws.recent + 1, TSEcr: c.tsNow(s.now)}
	s.seg.Opts.NSACK = uint8(copy(s.seg.Opts.SACK[:], sack))
	if n > 0 {
		b := s.pool.GetReserved()
		b.Start, b.End = 310, uint16(310+n)
		s.seg.Buf, s.seg.Payload = b, b.Bytes()
	}
	c.Input(s.now, &s.seg, &s.q)
	if n > 0 {
		s.seg.Buf.Release()
	}
	c.Output(s.now, &s.q)
}

// acks acknowledges everything up to a number.
func (s *steady) acks(to Seq) {
	c := s.c
	s.seg = Segment{Flags: wire.ACK, Seq: c.rcvNxt, Ack: to, Wnd: 60000, Ifindex: 1}
	s.seg.Opts = wire.TCPOptions{Set: wire.HasTimestamp, TSVal: c.paws.recent, TSEcr: c.tsNow(s.now)}
	c.Input(s.now, &s.seg, &s.q)
	c.Output(s.now, &s.q)
}

func (s *steady) drain() {
	for s.c.rq.bytes > 0 {
		if _, _, err := s.c.Read(s.now, s.iov, 0); err != nil {
			panic(err)
		}
		s.c.Output(s.now, &s.q)
	}
}

func (s *steady) send(n int) {
	for range n {
		if got, err := s.c.Write(s.now, s.iov, 0); got != len(s.iov[0]) || err != nil {
			panic(fmt.Sprint("written ", got, err))
		}
	}
	s.c.Output(s.now, &s.q)
}

func (s *steady) pass(ms int64) {
	s.now += ms * millisecond
	if at := s.c.Deadline(); at != 0 && at <= s.now {
		s.c.OnTimer(s.now, &s.q)
	}
}

// TestSteadyStateDoesNotAllocate: what happens again and again on a connection costs no memory, whatever it is.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, x := range []struct {
		name string
		step func(s *steady)
	}{
		{"a segment in order, read", func(s *steady) { s.in(0, 1448); s.drain() }},
		{"small segments, read together", func(s *steady) {
			for range 8 {
				s.in(0, 10)
			}
			s.drain()
		}},
		{"a duplicate, which is reported", func(s *steady) { s.in(-1000, 500); s.pass(1000) }},
		{"a segment beyond the window", func(s *steady) { s.in(10_000_000, 100) }},
		{"a write and its ACK", func(s *steady) { s.send(1); s.pass(1); s.acks(s.c.snd.nxt) }},
		{"ten writes, acknowledged two by two", func(s *steady) {
			s.send(10)
			for range 5 {
				s.pass(1)
				s.acks(s.c.snd.una.Add(2 * 1448))
			}
		}},
		{"eight segments in the wrong order", func(s *steady) {
			for i := 7; i >= 0; i-- {
				s.in(i*1000, 1000)
			}
			s.drain()
		}},
		{"delayed ACKs", func(s *steady) { s.interactive(); s.in(0, 100); s.drain(); s.pass(50) }},
		{"a window that closes and opens", func(s *steady) {
			for s.c.offered() > 2*1448 && s.pool.Free() > 200 {
				s.in(0, 1448)
			}
			s.drain()
		}},
		{"a loss, SACK recovery, the end of it", func(s *steady) {
			s.c.snd.cwnd = 20
			s.send(10)
			una := s.c.snd.una
			for i := 2; i <= 10; i++ {
				s.pass(1)
				s.in(0, 0, wire.SACKBlock{Left: uint32(una.Add(1448)), Right: uint32(una.Add(i * 1448))})
			}
			for s.c.snd.queued() > 0 {
				s.pass(1)
				s.acks(s.c.snd.nxt)
			}
		}},
		{"a timeout and its ACK", func(s *steady) {
			s.send(1)
			for range 3 {
				s.pass(5000)
			}
			s.pass(1)
			s.acks(s.c.snd.nxt)
		}},
		{"a zero window and its probes", func(s *steady) {
			s.pass(1)
			s.in(0, 0)
			s.c.snd.wnd = 0
			s.send(1)
			s.pass(1000)
			s.acks(s.c.snd.una)
			s.acks(s.c.snd.nxt)
		}},
		{"keep-alive and its answer", func(s *steady) { s.pass(8000 * 1000); s.acks(s.c.snd.nxt) }},
		{"a challenge ACK", func(s *steady) {
			s.now += 1e9
			s.seg = Segment{Flags: wire.RST, Seq: s.c.rcvNxt.Add(100)}
			s.c.Input(s.now, &s.seg, &s.q)
			s.c.Output(s.now, &s.q)
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := newSteady(t)
			s.setopt(solSocket, soKeepAlive, 1)
			s.setopt(solTCP, tcpNoDelay, 1)
			s.setopt(solSocket, soSndBuf, 200_000)
			step := func() { s.now += 10 * millisecond; x.step(s) }
			for range 300 { // until lists and buffers have their size
				step()
			}
			require.False(t, s.c.Closed())
			require.Zero(t, testing.AllocsPerRun(100, step))
		})
	}
}

// TestChurnCostsTheConnectionOnly: a connection that comes, is accepted, asked, answered and closed costs its own memory
// (itself, its congestion control) and nothing beside.
func TestChurnCostsTheConnectionOnly(t *testing.T) {
	r := newRig(t)
	r.listen(10)
	var q quiet
	port, iov := uint16(0), [][]byte{make([]byte, 100)}
	life := func() {
		port++
		r.now += 100 * millisecond
		f := r.flow
		f.Remote = netip.AddrPortFrom(f.Remote.Addr(), port)
		seg := &Segment{Flags: wire.SYN, Wnd: 1000}
		r.l.Input(r.now, &f, seg, Path{1500}, 0, &q)
		*seg = Segment{Flags: wire.ACK | wire.PSH, Seq: 1, Ack: r.h.isn(r.now, &f) + 1, Wnd: 1000, Payload: iov[0]}
		r.l.Input(r.now, &f, seg, Path{1500}, 0, &q)
		c := r.l.Accept(r.now)
		_, _, _ = c.Read(r.now, iov, 0)
		_, _ = c.Write(r.now, iov, 0)
		c.Close(r.now)
		c.Output(r.now, &q)
		*seg = Segment{Flags: wire.ACK | wire.FIN, Seq: 101, Ack: c.snd.end, Wnd: 1000}
		c.Input(r.now, seg, &q)
		c.Output(r.now, &q)
		must(t, c.Closed(), "it is over")
		r.h.Waits.OnTimer(r.now)
	}
	for range 3000 {
		life()
	}
	require.LessOrEqual(t, testing.AllocsPerRun(500, life), 3.0, "the connection, its congestion control, the segment of the test")
}

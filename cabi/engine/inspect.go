package engine

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Chunks of an inspection: so many sockets are described at once, then the program has its turn. A chunk takes some 20 us.
const inspectChunk = 64

// maxInspections bounds those under way; more are refused.
const maxInspections = 8

// inspection is somebody's wish to see the sockets (`sluice ss`): records are gathered chunk by chunk in a memfd that is his to read or to
// forget, so that nothing here ever waits for him.
type inspection struct {
	event *proto.Packet
	fd    int
	socks []*usock.Socket // those there were when it began
	lists []*tcp.Listener // whose half-open connections are still to be told, the first from place half on
	half  int
	waits int // the place in the table of TIME-WAIT, -1: all told
	n     int // records written
	buf   []proto.Record
	err   error
}

// inspect begins one.
func (e *Engine) inspect(now int64, p *proto.Packet) error {
	var want proto.Inspect
	if err := p.Into(&want); err != nil {
		return err
	}
	if want.Counters {
		e.answerWith(now, p, e.whole(now, 0))
		return nil
	}
	if len(e.inspections) >= maxInspections {
		return unix.EBUSY
	}
	fd, err := unix.MemfdCreate("sluice-sockets", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	if fd, err = e.lift(fd); err != nil {
		return err
	}
	i := &inspection{event: p, fd: fd, buf: make([]proto.Record, 0, inspectChunk)}
	if e.plane != nil {
		e.plane.stack.Each(func(s *usock.Socket) {
			i.socks = append(i.socks, s)
			if l := s.Listener(); l != nil {
				i.lists = append(i.lists, l)
			}
		})
	}
	e.inspections = append(e.inspections, i)
	return nil
}

// inspecting goes on with those under way: one chunk of each.
func (e *Engine) inspecting(now int64) {
	for k := 0; k < len(e.inspections); {
		i := e.inspections[k]
		if e.chunk(now, i) {
			k++
			continue
		}
		e.inspections = append(e.inspections[:k], e.inspections[k+1:]...)
		e.inspected(now, i)
	}
}

// chunk describes the next sockets, and says whether there are more.
func (e *Engine) chunk(now int64, i *inspection) bool {
	i.buf = i.buf[:0]
	switch {
	case len(i.socks) > 0:
		e.sockets(now, i)
	case e.plane == nil:
		i.waits = -1
	case len(i.lists) > 0:
		if i.half = e.halfOpens(now, i); i.half < 0 {
			i.lists, i.half = i.lists[1:], 0
		}
	case i.waits >= 0:
		i.waits = e.plane.stack.Host().Waits.Some(i.waits, inspectChunk, func(f tcp.Flow, s tcp.State, until int64) {
			i.bare(now, f, s, tcp.DiagTimeWait, 0, until)
		})
	}
	b := proto.RecordBytes(i.buf)
	if n, err := unix.Pwrite(i.fd, b, int64(i.n)*proto.RecordSize); err != nil || n < len(b) {
		i.err = fmt.Errorf("write records: %w", err)
		return false
	}
	i.n += len(i.buf)
	return len(i.socks)+len(i.lists) > 0 || i.waits >= 0
}

// sockets describes some that have one.
func (e *Engine) sockets(now int64, i *inspection) {
	n := min(len(i.socks), inspectChunk)
	for _, s := range i.socks[:n] {
		if s.Listener() == nil && (s.Slot < 0 || s.Conn().Closed()) {
			continue // it ended, or went to the kernel, in the meantime
		}
		i.buf = append(i.buf, proto.Record{})
		e.describe(now, s, &i.buf[len(i.buf)-1])
	}
	i.socks = i.socks[n:]
}

func (e *Engine) halfOpens(now int64, i *inspection) int {
	return i.lists[0].SomeHalfOpen(i.half, inspectChunk, func(f tcp.Flow, repeats uint8, at int64) {
		i.bare(now, f, tcp.SynReceived, tcp.DiagOn, repeats, at)
	})
}

// inspected answers.
func (e *Engine) inspected(now int64, i *inspection) {
	if i.err != nil {
		e.answer(now, i.event, i.err.Error(), nil)
	} else {
		e.answerWith(now, i.event, e.whole(now, i.n), i.fd)
	}
	e.drop(i.fd)
}

// whole is what concerns all of the process; its counters are up to date from then on.
func (e *Engine) whole(now int64, records int) proto.Inspected {
	in := proto.Inspected{Version: proto.RecordVersion, Records: records, Engine: e.gauges()}
	for why := range e.said {
		in.Notes = append(in.Notes, why)
	}
	if e.plane != nil {
		e.publish(now)
		e.detail(now)
	}
	return in
}

// describe writes down a socket.
func (e *Engine) describe(now int64, s *usock.Socket, r *proto.Record) {
	i, q := s.LastRX()
	r.Handle, r.FD, r.Ifindex, r.Queue, r.State, r.Family = s.Tag, -1, int32(i), int32(q), uint8(s.State()), unix.AF_INET
	r.SetLocal(plain(s.Local()))
	if s.V6() {
		r.Family = unix.AF_INET6
	}
	if s.Tag >= 0 {
		r.FD = e.sh.FDs[s.Tag].Load() - 1
	}
	var d tcp.Diag
	if l := s.Listener(); l != nil {
		l.Diag(&d)
		r.RecvQ, r.SendQ, r.HalfOpen = uint32(l.Waiting()), uint32(l.Backlog()), uint32(l.HalfOpens())
		if o := e.tab.at(s.Tag); o != nil && o.lis != nil {
			r.Cookie, r.KernelQ = o.lis.cookie, uint32(len(o.lis.queue))
		}
	} else {
		r.SetRemote(plain(s.Remote()))
		s.Conn().Diag(now, &d)
		r.RecvQ, r.SendQ, r.NotSent = uint32(s.InQ()), uint32(s.OutQ()), uint32(s.OutQNSD())
		if s.Orphan() {
			r.Flags |= proto.RecordOrphan
		}
		if !s.Accepted() {
			r.Flags |= proto.RecordWaiting
		}
	}
	r.Timer, r.Retrans, r.Expires = uint8(d.Timer), uint32(d.Retrans), uint32(d.Expires/1e6)
	r.Rmem, r.RcvBuf, r.Wmem, r.SndBuf = uint32(d.Rmem), uint32(d.RcvBuf), uint32(d.Wmem), uint32(d.SndBuf)
	copy(r.Congestion[:15], d.Congestion)
	r.Info = d.Info
}

// bare writes down what has no socket: SYN-RECV and TIME-WAIT.
func (i *inspection) bare(now int64, f tcp.Flow, s tcp.State, timer tcp.DiagTimer, retrans uint8, at int64) {
	r := proto.Record{State: uint8(s), Timer: uint8(timer), Retrans: uint32(retrans), Expires: uint32(max(at-now, 0) / 1e6),
		Family: family(f.Local), Flags: proto.RecordBare, Handle: -1, FD: -1, Ifindex: -1, Queue: -1}
	r.SetLocal(plain(f.Local))
	r.SetRemote(plain(f.Remote))
	i.buf = append(i.buf, r)
}

func family(a netip.AddrPort) uint8 {
	if a.Addr().Unmap().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// gauges are the plane's numbers that go up and down.
func (e *Engine) gauges() (g proto.Gauges) {
	g.Goroutines, g.Heap = runtimeGauges()
	if e.plane == nil {
		return g
	}
	st := e.plane.stack
	g.Frames, g.Free, g.Received, g.Conns = st.Frames(), st.Unused(), st.Received(), st.Conns()
	g.Orphans, g.TimeWaits = st.Host().Orphans(), st.Host().Waits.Len()
	for l := range e.listeners() {
		g.KernelHeld += len(l.queue)
	}
	for _, l := range e.plane.lanes {
		rx, tx, fill := l.vi.Levels()
		r := proto.RingGauge{QueueRef: l.ref, Device: strings.Clone(l.vi.Info().Device), RX: rx, TX: tx, Fill: fill}
		r.RXFull, r.FillEmpty, r.Dropped, r.BadTX = l.vi.Lost()
		g.Rings = append(g.Rings, r)
	}
	st.Each(func(s *usock.Socket) {
		if state := s.State(); state == tcp.Established || state == tcp.CloseWait {
			g.CurrEstab++
		}
	})
	return g
}

// runtimeGauges are what the engine has of Go's runtime: neither may grow with time. The metric of goroutines counts those, too, that the runtime keeps for
// threads of the program that may come.
func runtimeGauges() (goroutines int, heap uint64) {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() == metrics.KindUint64 {
		heap = s[0].Value.Uint64()
	}
	return runtime.NumGoroutine(), heap
}

// forgetInspections: those who asked are gone.
func (e *Engine) forgetInspections() {
	for _, i := range e.inspections {
		e.drop(i.fd)
	}
	e.inspections = nil
}

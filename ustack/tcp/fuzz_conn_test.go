package tcp

import (
	"encoding/binary"
	"flag"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// FuzzConn drives one connection, from any state, with segments, calls and time that bytes describe. After every event
// everything that is counted is counted again; the stream that comes out must be the one that went in, in both
// directions; the window's right edge may not go back; a frame may not change while it is being sent; in the end every
// frame is back. See fuzzOps for the format.
func FuzzConn(f *testing.F) {
	for state := range byte(len(fuzzStates)) {
		f.Add([]byte{state, 0x07, 0})
		f.Add([]byte{state, 0x06, 1, opData, 100, opAckAll, 0, opWrite, 20, opTick, 9, opFin, 0, opDeadline, 3, opRead, 255})
		f.Add([]byte{state, 0x07, 0, opWrite, 250, opWrite, 250, opSack, 3, 4, opSack, 6, 2, opDeadline, 2, opAckSome, 3, opAckAll, 0})
		f.Add([]byte{state, 0x0f, 2, opAhead, 2, 90, opAhead, 4, 90, opData, 200, opRead, 200, opClose, 0, opDeadline, 9})
		f.Add([]byte{state, 0x07, 0, opRaw, 0x04, 1, 0, 1, 0, 10, 0, 0, opTick, 2, opRaw, 0x02, 1, 7, 1, 9, 0, 0, 0})
		f.Add([]byte{state, 0x07, 32, opFast, 9, 30, opAckAll, 0, opData, 9, opFast, 0, 30, opDeadline, 3, opRead, 90, opRead, 90, opClose, 0})
		f.Add([]byte{state, 0x07, 64, opData, 9, opTick, 64, opRead, 90, opTick, 64, opData, 9, opRaw, 0x19, 0, 0, 1, 0, 9, 0, 200, opRead, 99, opTick, 64, opMove, 1})
		f.Add([]byte{state, 0x17, 4, opMove, 0, opWrite, 99, opMove, 0, opHold, 1, opWrite, 44, opDeadline, 1, opHold, 0, opMTU, 9})
	}
	f.Fuzz(func(t *testing.T, in []byte) { fuzzConn(t, in) })
}

// The operations of FuzzConn, each followed by the arguments its function takes.
const (
	opRaw byte = iota // flags, seq base, seq offset, ack base, ack offset, window (2), length
	opData
	opAhead
	opAckAll
	opAckSome
	opSack
	opFin
	opRead
	opWrite
	opTick
	opDeadline
	opClose
	opShutdown
	opAbort
	opOption
	opMove
	opMTU
	opSoft
	opHold
	opDone
	opDrain
	opUrgent
	opPrune
	opOld
	opSyn
	opWindow
	opFast
	opCount
)

// fuzzOps is what each operation does.
var fuzzOps = [opCount]func(*fuzzer){
	opRaw: (*fuzzer).raw, opData: (*fuzzer).data, opAhead: (*fuzzer).ahead, opAckAll: (*fuzzer).ackAll,
	opAckSome: (*fuzzer).ackSome, opSack: (*fuzzer).sack, opFin: (*fuzzer).fin, opRead: (*fuzzer).read,
	opWrite: (*fuzzer).write, opTick: (*fuzzer).tick, opDeadline: (*fuzzer).deadline, opClose: (*fuzzer).close,
	opShutdown: (*fuzzer).shutdown, opAbort: (*fuzzer).abort, opOption: (*fuzzer).option, opMove: (*fuzzer).move,
	opMTU: (*fuzzer).mtu, opSoft: (*fuzzer).soft, opHold: (*fuzzer).hold, opDone: (*fuzzer).done, opDrain: (*fuzzer).drain,
	opUrgent: (*fuzzer).urgent, opPrune: (*fuzzer).prune, opOld: (*fuzzer).old, opSyn: (*fuzzer).syn, opWindow: (*fuzzer).window,
	opFast: (*fuzzer).fast,
}

// fuzzer is a rig that is told what to do by bytes, and checks everything.
type fuzzer struct {
	*rig
	in []byte

	conn  *Conn // the one that first, irs and written are of
	first Seq   // the number of our first byte
	urged bool  // urgent data made counting bytes useless

	holds   bool // the device keeps frames until opDone
	ring    []heldFrame
	drained []*pbuf.Buf
	edge    Seq // highest right edge of our window, told by a segment without SYN
	told    bool
	emitted int
	peerFIN bool
}

// heldFrame is a frame the device sends just now, and what it was given.
type heldFrame struct {
	b   *pbuf.Buf
	off int
	was string
}

// byte takes the next byte of the input, 0 behind its end.
func (z *fuzzer) byte() byte {
	if len(z.in) == 0 {
		return 0
	}
	b := z.in[0]
	z.in = z.in[1:]
	return b
}

const fuzzFrames = 160

// fuzzMemory is every run's, one after another: clearing it would take most of the time.
var fuzzMemory = make([]byte, fuzzFrames*4096)

func fuzzConn(t testing.TB, in []byte) {
	if len(in) < 3 || len(in) > 4096 {
		return
	}
	z := &fuzzer{in: in}
	state, agreed, tune := z.byte(), z.byte(), z.byte()
	pool := pbuf.New(fuzzMemory, 4096)
	pool.SetReserve(fuzzFrames / 8)
	z.rig = rigOver(t, pool, func(p *Params) { fuzzParams(p, agreed, tune) })
	z.rig.sink = z
	if tune&64 != 0 {
		z.h.Answers.Wait = int64(answerWait)
	}
	z.start(fuzzStates[int(state)%len(fuzzStates)], agreed)
	for len(z.in) > 0 {
		z.emitted = 0
		op := z.byte() % opCount
		if *fuzzTrace {
			z.describe(op)
		}
		fuzzOps[op](z)
		z.settle()
	}
	z.finish()
}

func fuzzParams(p *Params, agreed, tune byte) {
	p.Timestamps, p.SACK, p.WindowScaling = agreed&1 != 0, agreed&2 != 0, agreed&4 != 0
	p.ECN = int(agreed >> 3 & 1)
	p.Congestion = []string{"cubic", "reno", "bbr", "bbr3"}[agreed>>4&3]
	p.MTUProbing = int(agreed >> 6 & 1 * 2)
	if tune&1 != 0 {
		p.Rmem = [3]int{4096, 8192, 65536}
	}
	if tune&2 != 0 {
		p.Wmem = [3]int{4096, 4096, 16384}
	}
	if tune&4 != 0 {
		p.ChallengeLimit = 3
	}
	p.SYNCookies = int(tune >> 3 & 1)
	p.EarlyRetrans = 3 * int(1-tune>>4&1)
	if tune&32 != 0 { // Fast Open without cookies: a SYN's data makes a connection
		p.FastOpen = fastClient | fastClientBold | fastServer | fastServerBold | fastEachListener
	}
}

// fuzzStates are where a run may begin.
var fuzzStates = []State{Listening, SynSent, SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait, Closed}

var fuzzTrace = flag.Bool("fuzz-trace", false, "tell each event of FuzzConn")

func (z *fuzzer) describe(op byte) {
	name := runtime.FuncForPC(reflect.ValueOf(fuzzOps[op]).Pointer()).Name()
	z.t.Logf("%s %v", name[strings.LastIndexByte(name, '.')+1:], z.in[:min(8, len(z.in))])
	if c := z.c; c != nil {
		z.t.Logf("\t%v una %d nxt %d end %d window %d cwnd %d, received %d read %d queued %d", c.state, c.snd.una-z.first,
			c.snd.nxt-z.first, c.snd.end-z.first, c.snd.wnd, c.snd.cwnd, c.rcvNxt-z.irs, c.copied-z.irs, c.rq.bytes)
	}
}

// start brings the connection to a state.
func (z *fuzzer) start(s State, agreed byte) {
	if s == Closed {
		return
	}
	syn := "S 0:0(0) win 65535 <mss 1460,sackOK,ts 100 0,ws 7>"
	switch {
	case s == SynSent && agreed&128 != 0:
		o := DefaultOptions()
		o.FastConnect = true
		z.dial(&o)
	case s == SynSent:
		z.dial(nil)
	case s == SynReceived:
		z.dial(nil)
		z.send(syn)
	default:
		z.listen(3)
		if s == Listening {
			return
		}
		z.send(syn)
		z.give(wire.ACK, z.irs+1, z.iss+1, 60000, 0, nil)
		z.settle()
	}
	z.settle()
	switch s {
	case FinWait1, FinWait2, TimeWait, Closing:
		_ = z.c.Shutdown(z.now, shutWR)
		z.settle()
		if s != FinWait1 && s != Closing {
			z.ackAll()
		}
		if s == TimeWait || s == Closing {
			z.fin()
		}
	case CloseWait, LastAck:
		z.fin()
		if s == LastAck {
			_ = z.c.Shutdown(z.now, shutWR)
		}
	}
	z.settle()
}

// settle lets everything happen that is due, and checks.
func (z *fuzzer) settle() {
	if z.c != nil {
		if z.c != z.conn {
			z.adopted()
		}
		z.c.Output(z.now, z.rig)
		checkConn(z.t, z.c)
		checkACK(z.t, z.c)
		z.c.Poll()
		if z.c.state != Closed {
			_ = z.c.InQ() + z.c.OutQ() + z.c.OutQNSD()
		}
	}
	must(z.t, z.emitted < 4000, "%d segments for one event", z.emitted)
}

// adopted notes a new connection, which the program accepts.
func (z *fuzzer) adopted() {
	if z.conn != nil {
		z.conn.Close(z.now)
	}
	z.conn, z.first, z.told, z.urged, z.peerFIN = z.c, z.c.snd.iss+1, false, false, false
	z.wrote = 0
	if z.l != nil {
		for z.l.Accept(z.now) != nil {
		}
	}
	z.iss, z.issKnown = z.c.snd.iss, true
}

// finish ends everything and counts the frames.
func (z *fuzzer) finish() {
	z.complete(len(z.ring))
	for _, b := range z.drained {
		b.Release()
	}
	if z.l != nil {
		z.l.Close(z.now, z.rig)
	}
	if z.c != nil {
		z.c.clear(flagFrozen)
		z.c.Abort(z.now)
		z.c.Output(z.now, z.rig)
		z.c.Close(z.now)
	}
	z.pass(200 * time.Second)
	must(z.t, z.pool.Free() == fuzzFrames, "%d of %d frames are back", z.pool.Free(), fuzzFrames)
	must(z.t, z.pool.Received() == 0, "%d frames count as received", z.pool.Received())
	must(z.t, z.h.Orphans() == 0, "%d orphans are left", z.h.Orphans())
	must(z.t, z.h.Waits.Len() == 0, "%d records in TIME-WAIT are left", z.h.Waits.Len())
}

// pass lets time pass; timers may not go off again and again at one instant.
func (z *fuzzer) pass(d time.Duration) {
	for end, still := z.now+int64(d), 0; ; still++ {
		at := z.next()
		if at == 0 || at > end {
			z.now = end
			return
		}
		if at > z.now {
			z.now, still = at, 0
		}
		must(z.t, still < 100, "timers go off again and again")
		z.fire()
	}
}

// sent checks a segment on its way out, and keeps its frame as a device does.
func (z *fuzzer) sent(c *Conn, h *Header, b *pbuf.Buf, off, n int) {
	z.emitted++
	if c == z.c && c != z.conn {
		z.adopted()
	}
	size := 40 + h.Opts.Len() + n
	must(z.t, h.Opts.Len() <= wire.TCPMaxOptions, "%d bytes of options", h.Opts.Len())
	must(z.t, size <= max(int(c.mtu), 576), "a packet of %d bytes, the path takes %d", size, c.mtu)
	if n > 0 && h.Flags.Any(wire.SYN) { // Fast Open: no window is known yet, the SYN takes a number
		z.sentData(h.Seq+1, b, off, n)
	} else if n > 0 {
		if h.Seq == c.snd.nxt {
			must(z.t, h.Seq.Add(n).LEQ(c.snd.wndEnd()), "%d bytes behind the peer's window", h.Seq.Add(n).Sub(c.snd.wndEnd()))
		}
		z.sentData(h.Seq, b, off, n)
	}
	if h.Flags.Any(wire.RST|wire.SYN) || c.state == Closed {
		return
	}
	edge := h.Ack.Add(int(h.Wnd) << c.rcvScale)
	slack := 1<<c.rcvScale - 1
	must(z.t, !z.told || edge.Add(slack).GEQ(z.edge), "the window's edge went back by %d", z.edge.Sub(edge))
	if !z.told || edge.GT(z.edge) {
		z.edge, z.told = edge, true
	}
}

// sentData checks the bytes, and does to the frame what sending does: headers are written in front of the bytes when it
// is the frame's own segment.
func (z *fuzzer) sentData(seq Seq, b *pbuf.Buf, off, n int) {
	got, at := bytesOf(b, off, n), int(seq-z.first)
	for i, v := range got {
		must(z.t, v == streamByte(at+i), "byte %d of our stream is wrong", at+i)
	}
	if off != int(b.Start) || b.InFlight {
		return // the stack copies it
	}
	for i := off - 100; i < off; i++ {
		b.Frame()[i] = 0xee
	}
	if z.holds {
		b.Ref()
		b.InFlight = true
		z.ring = append(z.ring, heldFrame{b, off, string(got[:min(n, frameEnd-off)])})
	}
}

func streamByte(i int) byte { return byte(i * 7 >> 2) }

// done: the device is through with some frames.
func (z *fuzzer) done() { z.complete(min(int(z.byte()), len(z.ring))) }

func (z *fuzzer) complete(n int) {
	for _, f := range z.ring[:n] {
		must(z.t, string(f.b.Frame()[f.off:f.off+len(f.was)]) == f.was, "a frame changed while it was sent")
		f.b.InFlight = false
		f.b.Release()
	}
	z.ring = z.ring[n:]
}

func (z *fuzzer) hold() { z.holds = z.byte()&1 != 0 }

// drain takes frames away, or gives them back.
func (z *fuzzer) drain() {
	n := int(z.byte())
	for ; n >= 128 && len(z.drained) > 0; n-- {
		last := len(z.drained) - 1
		z.drained[last].Release()
		z.drained = z.drained[:last]
	}
	for ; n > 0 && n < 128; n-- {
		if b := z.pool.Get(); b != nil {
			z.drained = append(z.drained, b)
		}
	}
}

// u16 takes two bytes.
func (z *fuzzer) u16() uint16 { return binary.BigEndian.Uint16([]byte{z.byte(), z.byte()}) }

package tcp

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/wire"
)

// rig is one end of a connection under a virtual clock. The other end is the test: it sends and wants segments written
// as packetdrill does, with sequence numbers relative to each side's first:
//
//	S 0:0(0) win 65535 <mss 1460,sackOK,ts 100 0,ws 7>
//	P. 1:101(100) ack 1 win 1000
//	. 1:1(0) ack 101 <sack 201:301>
//
// In a wanted segment, win, urg and the options are compared only when they are written.
type rig struct {
	t    testing.TB
	now  int64
	h    *Host
	c    *Conn
	l    *Listener
	flow Flow
	out  []sentSeg
	full bool // the device takes nothing
	sink sink // takes what is sent instead of out

	iss, irs     Seq
	in, outEdges int // events the watcher got
	issKnown     bool
	line         string // of the script being run
	wrote        int    // bytes of our stream
	mtu          int
	pool         *pbuf.Pool
}

type sink interface {
	sent(c *Conn, h *Header, payload *pbuf.Buf, off, n int)
}

type sentSeg struct {
	h    Header
	data []byte
}

const rigFrames = 512

func newRig(t testing.TB, change ...func(*Params)) *rig {
	return rigOver(t, pbuf.New(make([]byte, rigFrames*4096), 4096), change...)
}

func rigOver(t testing.TB, pool *pbuf.Pool, change ...func(*Params)) *rig {
	p := DefaultParams()
	p.Timestamps = false // most traces are easier to read without
	for _, f := range change {
		f(p)
	}
	r := &rig{t: t, now: 1e12, irs: 0x7fffff00, mtu: 1500, pool: pool}
	n := uint64(1)
	r.h = NewHost(p, r.pool, func() uint64 { n = n*6364136223846793005 + 1442695040888963407; return n })
	r.flow = Flow{Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:4000")}
	return r
}

func withTS(p *Params) { p.Timestamps = true }

// TCPEvent is Watcher.
func (r *rig) TCPEvent(in, out bool) {
	if in {
		r.in++
	}
	if out {
		r.outEdges++
	}
}

// Segment and Reply are Out.
func (r *rig) Segment(c *Conn, h *Header, payload *pbuf.Buf, off, n int) bool {
	if r.full {
		return false
	}
	r.learn(h)
	if r.sink != nil {
		r.sink.sent(c, h, payload, off, n)
		return true
	}
	s := sentSeg{h: *h}
	if payload != nil {
		s.data = bytesOf(payload, off, n)
	}
	r.out = append(r.out, s)
	return true
}

func (r *rig) Reply(f *Flow, h *Header) bool {
	if r.full {
		return false
	}
	require.Equal(r.t, r.flow, *f)
	r.learn(h)
	if r.sink == nil {
		r.out = append(r.out, sentSeg{h: *h})
	}
	return true
}

// learn takes our initial number from our first SYN.
func (r *rig) learn(h *Header) {
	if h.Flags.Any(wire.SYN) && !r.issKnown {
		r.iss, r.issKnown = h.Seq, true
	}
}

// pattern is the stream both sides send: a byte tells its place.
func pattern(seq Seq, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((int(seq) + i) * 7 >> 2)
	}
	return b
}

// send gives our end a segment.
func (r *rig) send(text string) {
	r.t.Helper()
	s := r.parse(text)
	r.input(s)
}

func (r *rig) input(s *Segment) {
	if s.Flags.Any(wire.SYN) && !r.issKnown && r.c == nil {
		r.flow.Remote = netip.AddrPortFrom(r.flow.Remote.Addr(), r.flow.Remote.Port())
	}
	defer func() {
		if s.Buf != nil {
			s.Buf.Release()
		}
		for _, b := range s.Rest {
			b.Release()
		}
	}()
	if r.c != nil && !r.c.Closed() {
		r.c.Input(r.now, s, r)
		r.c.Output(r.now, r)
		return
	}
	v, isn := r.h.Waits.Input(r.now, &r.flow, s, r.l != nil, r)
	switch {
	case v == Handled:
	case r.l != nil:
		if c := r.l.Input(r.now, &r.flow, s, Path{r.mtu}, isn, r); c != nil {
			r.adopt(c)
		}
	default:
		Reset(r.h, &r.flow, s, r)
	}
}

func (r *rig) adopt(c *Conn) {
	r.c = c
	c.Owner = r
	c.Output(r.now, r)
}

// parse reads a segment of the peer.
func (r *rig) parse(text string) *Segment {
	r.t.Helper()
	s := &Segment{Wnd: 65535, Ifindex: 1}
	head, opts, _ := strings.Cut(text, "<")
	f := strings.Fields(head)
	for i, c := range "FSRP.UEW" {
		if strings.ContainsRune(f[0], c) {
			s.Flags |= 1 << i
		}
	}
	seq, rest, _ := strings.Cut(f[1], ":")
	_, n, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "(")
	s.Seq = r.irs.Add(num(seq))
	for i := 2; i+1 < len(f); i += 2 {
		v := num(f[i+1])
		switch f[i] {
		case "ack":
			s.Ack = r.iss.Add(v)
		case "win":
			s.Wnd = uint16(v)
		case "urg":
			s.Urg = uint16(v)
		case "ce":
			s.CE = v != 0
		}
	}
	for _, o := range strings.Split(strings.TrimSuffix(opts, ">"), ",") {
		r.option(&s.Opts, strings.Fields(o))
	}
	if ln := num(n); ln > 0 {
		r.payload(s, ln)
	}
	return s
}

// payload lies in several frames if it is longer than one holds: it came as one packet.
func (r *rig) payload(s *Segment, n int) {
	data := pattern(s.Seq-r.irs, n)
	frame := func(at uint16) *pbuf.Buf {
		b := r.pool.GetReserved()
		require.NotNil(r.t, b)
		b.Start = at
		n := copy(b.Frame()[at:], data)
		b.End, data = at+uint16(n), data[n:]
		return b
	}
	s.Buf = frame(256 + 54)
	s.Payload = s.Buf.Bytes()
	for len(data) > 0 {
		b := frame(256)
		s.Rest, s.More = append(s.Rest, b), s.More+b.Len()
	}
}

func (r *rig) option(o *wire.TCPOptions, f []string) {
	if len(f) == 0 {
		return
	}
	switch f[0] {
	case "mss":
		o.Set, o.MSS = o.Set|wire.HasMSS, uint16(num(f[1]))
	case "sackOK":
		o.Set |= wire.HasSACKPerm
	case "ws":
		o.Set, o.WScale = o.Set|wire.HasWScale, uint8(num(f[1]))
	case "ts": // val, and echo of our clock in ms
		o.Set, o.TSVal = o.Set|wire.HasTimestamp, uint32(num(f[1]))
		if e := num(f[2]); e != 0 {
			o.TSEcr = uint32(e) + r.tsOff()
		}
	case "FO", "FOEXP":
		b := cookieBytes(r.t, f[1:])
		o.Set, o.CookieLen = o.Set|wire.HasFastOpen, uint8(copy(o.Cookie[:], b))
		if f[0] == "FOEXP" {
			o.Set |= wire.FastOpenExp
		}
	case "sack":
		for _, b := range f[1:] {
			left, right, _ := strings.Cut(b, ":")
			o.SACK[o.NSACK] = wire.SACKBlock{Left: uint32(r.iss.Add(num(left))), Right: uint32(r.iss.Add(num(right)))}
			o.NSACK++
		}
	}
}

// cookieBytes reads a Fast Open cookie; none is a request.
func cookieBytes(t testing.TB, f []string) []byte {
	if len(f) == 0 {
		return nil
	}
	b, err := hex.DecodeString(f[0])
	require.NoError(t, err)
	return b
}

func num(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// tsOff is what traces subtract from our timestamps: they count milliseconds since the rig began.
func (r *rig) tsOff() uint32 { return r.h.tsOffset(&r.flow) + uint32(int64(1e12)/millisecond) }

// text writes a segment that we sent, with as much as like has.
func (r *rig) text(s *sentSeg, like string) string {
	h := &s.h
	seq := h.Seq.Sub(r.iss)
	if h.Flags.Any(wire.RST) && !h.Flags.Any(wire.ACK) && !r.issKnown || h.Flags.Has(wire.RST|wire.ACK) && h.Seq == 0 {
		seq = int(h.Seq) // <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d:%d(%d)", h.Flags, seq, seq+len(s.data), len(s.data))
	if h.Flags.Any(wire.ACK) {
		fmt.Fprintf(&b, " ack %d", h.Ack.Sub(r.irs))
	}
	if strings.Contains(like, " win ") {
		fmt.Fprintf(&b, " win %d", h.Wnd)
	}
	if strings.Contains(like, " urg ") {
		fmt.Fprintf(&b, " urg %d", h.Urg)
	}
	if strings.Contains(like, "<") {
		b.WriteString(" <" + r.optText(&h.Opts) + ">")
	}
	return b.String()
}

var foName = map[bool]string{false: "FO", true: "FOEXP"}

func (r *rig) optText(o *wire.TCPOptions) string {
	var l []string
	if o.Has(wire.HasMSS) {
		l = append(l, fmt.Sprint("mss ", o.MSS))
	}
	if o.Has(wire.HasSACKPerm) {
		l = append(l, "sackOK")
	}
	if o.Has(wire.HasTimestamp) {
		l = append(l, fmt.Sprintf("ts %d %d", o.TSVal-r.tsOff(), o.TSEcr))
	}
	if o.Has(wire.HasWScale) {
		l = append(l, fmt.Sprint("ws ", o.WScale))
	}
	if o.Has(wire.HasFastOpen) {
		l = append(l, strings.TrimSuffix(fmt.Sprintf("%s %x", foName[o.Has(wire.FastOpenExp)], o.Cookie[:o.CookieLen]), " "))
	}
	if o.NSACK > 0 {
		s := "sack"
		for _, b := range o.SACK[:o.NSACK] {
			s += fmt.Sprintf(" %d:%d", Seq(b.Left).Sub(r.irs), Seq(b.Right).Sub(r.irs))
		}
		l = append(l, s)
	}
	return strings.Join(l, ",")
}

// want takes the next segment that we sent, which must be this one.
func (r *rig) want(text string) {
	r.t.Helper()
	require.NotEmpty(r.t, r.out, "nothing was sent; wanted %s", text)
	s := r.out[0]
	r.out = r.out[1:]
	require.Equal(r.t, text, r.text(&s, text))
}

// wantIdle says that nothing (more) was sent.
func (r *rig) wantIdle() {
	r.t.Helper()
	var l []string
	for i := range r.out {
		l = append(l, r.text(&r.out[i], "win  <"))
	}
	require.Empty(r.t, l, "unexpected segments")
}

// next is when the next timer goes off, 0 for never.
func (r *rig) next() int64 {
	at := earlier(r.h.Waits.Deadline(), r.h.Answers.Deadline())
	if r.c != nil {
		at = earlier(at, r.c.Deadline())
	}
	if r.l != nil {
		at = earlier(at, r.l.Deadline())
	}
	return at
}

// fire lets the timers go off that are due.
func (r *rig) fire() {
	r.h.Waits.OnTimer(r.now)
	r.late(false)
	if r.c != nil {
		if at := r.c.Deadline(); at != 0 && at <= r.now {
			r.c.OnTimer(r.now, r)
		}
	}
	if r.l != nil {
		r.l.OnTimer(r.now, r)
	}
}

// advance lets time pass, with every timer on the way.
func (r *rig) advance(d time.Duration) {
	end := r.now + int64(d)
	for at := r.next(); at != 0 && at <= end; at = r.next() {
		r.now = max(r.now, at)
		r.fire()
	}
	r.now = end
}

// read reads n bytes and checks that they are those the peer sent from seq on.
func (r *rig) read(seq, n int) {
	r.t.Helper()
	b := make([]byte, n)
	got, _, err := r.c.Read(r.now, [][]byte{b}, 0)
	require.NoError(r.t, err)
	require.Equal(r.t, n, got)
	require.Equal(r.t, pattern(Seq(seq), n), b)
	r.c.Output(r.now, r)
}

// readErr wants a read to fail.
func (r *rig) readErr(want error) {
	r.t.Helper()
	_, _, err := r.c.Read(r.now, [][]byte{make([]byte, 10)}, 0)
	require.ErrorIs(r.t, err, want)
}

// readEOF wants the end of the stream.
func (r *rig) readEOF() {
	r.t.Helper()
	n, _, err := r.c.Read(r.now, [][]byte{make([]byte, 10)}, 0)
	require.NoError(r.t, err)
	require.Zero(r.t, n)
}

func (r *rig) write(n int) {
	r.t.Helper()
	got, err := r.c.Write(r.now, [][]byte{pattern(0, n)}, 0)
	require.NoError(r.t, err)
	require.Equal(r.t, n, got)
	r.c.Output(r.now, r)
}

func (r *rig) close() {
	r.c.Close(r.now)
	r.c.Output(r.now, r)
}

func (r *rig) shutdown(how int) {
	require.NoError(r.t, r.c.Shutdown(r.now, how))
	r.c.Output(r.now, r)
}

func (r *rig) dial(o *Options) {
	r.c = Dial(r.now, r.h, r.flow, Path{r.mtu}, o)
	r.c.Owner = r
	r.c.Output(r.now, r)
}

func (r *rig) listen(backlog int) {
	r.l = Listen(r.h, Flow{Local: r.flow.Local}, backlog)
	r.l.Owner = r
}

// established is a rig whose connection was opened by the peer, with SACK but neither timestamps nor scaling unless
// Params say so. The ACK mode is the interactive one.
func established(t testing.TB, change ...func(*Params)) *rig {
	r := newRig(t, append([]func(*Params){func(p *Params) { p.WindowScaling = false }}, change...)...)
	r.listen(10)
	syn, ack := "S 0:0(0) win 65535 <mss 1460,sackOK,ws 7>", ". 1:1(0) ack 1"
	if r.h.Params.Timestamps {
		syn, ack = "S 0:0(0) win 65535 <mss 1460,sackOK,ts 100 0,ws 7>", ". 1:1(0) ack 1 <ts 100 1>"
	}
	r.send(syn)
	r.want("S. 0:0(0) ack 1")
	r.send(ack)
	r.wantIdle()
	require.Equal(t, Established, r.c.State())
	require.Equal(t, r.c, r.l.Accept(r.now))
	return r
}

// interactive ends the quick ACKs that a connection begins with.
func (r *rig) interactive() {
	r.c.ack.quick = 0
	r.c.ack.ato = atoMin
	r.c.ack.lastData = r.now
	r.c.win.ssthresh = r.c.win.clamp // else the window's growth asks for an ACK, too
}

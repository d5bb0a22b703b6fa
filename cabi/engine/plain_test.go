package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// What shim/segment.c takes the stack must take too, whole, and what it writes must be what the stack would have written. The C code is
// asked here beside the stack, about packets of all kinds.

var be = binary.BigEndian

// cside answers by shim/segment.c.
type cside struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	last Plain
}

func newCSide(t *testing.T) *cside {
	program := filepath.Join(t.TempDir(), "segment")
	out, err := exec.Command("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Werror", "-fsanitize=address,undefined",
		"-fno-sanitize-recover=all", "-o", program, "testdata/segment.c", "../../shim/segment.c").CombinedOutput()
	require.NoError(t, err, string(out))
	c := exec.Command(program)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	o, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = in.Close()
		require.NoError(t, c.Wait())
	})
	return &cside{t: t, in: in, out: bufio.NewReader(o)}
}

func (c *cside) ask(p *Plain, what byte, b []byte, answer []byte) {
	q := unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
	q = binary.NativeEndian.AppendUint32(append([]byte{}, q...), uint32(what))
	q = binary.NativeEndian.AppendUint32(q, uint32(len(b)))
	_, err := c.in.Write(append(q, b...))
	require.NoError(c.t, err)
	_, err = io.ReadFull(c.out, answer)
	require.NoError(c.t, err)
}

func (c *cside) takes(p *Plain, packet []byte) int {
	var n [4]byte
	c.ask(p, 'R', packet, n[:])
	return int(binary.NativeEndian.Uint32(n[:]))
}

func (c *cside) writes(p *Plain, payload []byte) []byte {
	b := make([]byte, ustack.PlainHead+len(payload))
	c.ask(p, 'W', payload, b)
	return b
}

// wireVI is a device on which nobody sums, and whose other end is the test.
type wireVI struct {
	mem    efvi.Memory
	posted []uint32
	events []efvi.Event
	sent   [][]byte
}

func (w *wireVI) Info() efvi.Info {
	return efvi.Info{Device: "w", Ifindex: 1, MAC: [6]byte{2, 0, 0, 0, 0, 1}, MTU: 1500, PartialChecksum: true, TxChecksum: true}
}
func (w *wireVI) FD() int      { return -1 }
func (w *wireVI) Close() error { return nil }
func (w *wireVI) Flush() error { return nil }
func (w *wireVI) Post(frames []uint32) int {
	n := min(len(frames), 256-len(w.posted))
	w.posted = append(w.posted, frames[:n]...)
	return n
}

func (w *wireVI) Poll(ev []efvi.Event) int {
	n := copy(ev, w.events)
	w.events = append(w.events[:0], w.events[n:]...)
	return n
}

func (w *wireVI) Send(frame, off, n uint32) bool {
	w.sent = append(w.sent, bytes.Clone(w.mem.Frame(frame)[off:off+n]))
	w.events = append(w.events, efvi.Event{Kind: efvi.EventTX, Frame: frame})
	return true
}
func (w *wireVI) SendSum(frame, off, n uint32, _, _ uint16) bool { return w.Send(frame, off, n) }

func (w *wireVI) receive(b []byte) {
	frame := w.posted[0]
	w.posted = w.posted[1:]
	copy(w.mem.Frame(frame)[256:], b)
	w.events = append(w.events, efvi.Event{Kind: efvi.EventRX, Frame: frame, Off: 256, Len: uint32(len(b))})
}

// plainRig is a connection between a stack and a peer that the test plays.
type plainRig struct {
	t    *testing.T
	c    *cside
	rnd  *rand.Rand
	vi   *wireVI
	st   *ustack.Stack
	l, s *usock.Socket
	pool *pbuf.Pool
	now  int64

	seq, ack, ts uint32 // the peer's next number, what it has of ours, its clock
	read, heard  bytes.Buffer
	told         int // how often Settled was
}

func (r *plainRig) Ready(*usock.Socket)   {}
func (r *plainRig) Settled(*usock.Socket) { r.told++ }

func newPlainRig(t *testing.T, seed uint64) *plainRig {
	r := &plainRig{t: t, c: newCSide(t), rnd: rand.New(rand.NewPCG(seed, 1)), now: 1e9, seq: 1000, ts: 5000}
	r.vi = &wireVI{mem: efvi.Memory{Bytes: make([]byte, 2048*efvi.FrameSize)}}
	r.pool = pbuf.New(r.vi.mem.Bytes, efvi.FrameSize)
	r.st = ustack.New(ustack.Config{Pool: r.pool, Rand: r.rnd.Uint64, Params: tcp.DefaultParams(), Sink: r, Routes: toward{ourAddr, [6]byte{2, 0, 0, 0, 0, 2}},
		AnswerWait: int64(seed%2) * 40e6})
	r.st.AddVI(r.vi)
	var err error
	r.l, err = r.st.Listen(r.now, netip.AddrPortFrom(ourAddr, 80), 8)
	require.NoError(t, err)
	r.s = r.open()
	return r
}

// open is the peer's connection, from the same port each time.
func (r *plainRig) open() *usock.Socket {
	r.vi.sent = nil
	r.vi.receive(r.packet(wire.SYN, &wire.TCPOptions{Set: wire.HasMSS | wire.HasWScale | wire.HasSACKPerm | wire.HasTimestamp, MSS: 1460, WScale: 7, TSVal: r.ts}, nil))
	r.st.Poll(r.now, 64)
	r.seq++
	r.ack = be.Uint32(r.vi.sent[0][38:]) + 1
	r.vi.receive(r.packet(wire.ACK, r.stamps(), nil))
	r.st.Poll(r.now, 64)
	s, err := r.l.Accept(r.now)
	require.NoError(r.t, err)
	s.Tag, r.vi.sent = 0, nil
	return s
}

func (r *plainRig) stamps() *wire.TCPOptions {
	return &wire.TCPOptions{Set: wire.HasTimestamp, TSVal: r.ts, TSEcr: uint32(r.now / 1e6)}
}

// packet is one of the peer's, its sum left to the device.
func (r *plainRig) packet(flags wire.Flags, o *wire.TCPOptions, payload []byte) []byte {
	h := wire.TCPFields{SrcPort: 40000, DstPort: 80, Seq: r.seq, Ack: r.ack, Flags: flags, Window: 8192, Options: o}
	n := h.Len() + len(payload)
	b := make([]byte, 34, 34+n)
	(&wire.EthernetFields{Dst: [6]byte{2, 0, 0, 0, 0, 1}, Src: [6]byte{2, 0, 0, 0, 0, 2}, Type: wire.TypeIPv4}).Put(b)
	(&wire.IPv4Fields{TTL: 64, Proto: 6, DF: true, Src: theirAddr, Dst: ourAddr, PayloadLen: n}).Put(b[14:])
	b = b[:34+h.Len()]
	h.Put(b[34:])
	b = append(b, payload...)
	r.sum(b)
	return b
}

func (r *plainRig) sum(b []byte) {
	be.PutUint16(b[24:], 0)
	be.PutUint16(b[24:], ^wire.Sum(b[14:34]))
	be.PutUint16(b[50:], wire.PseudoSum(b[26:34], 6, int(be.Uint16(b[16:]))-20))
}

// plain is what the engine would show; nil: nothing.
func (r *plainRig) plain() *Plain {
	var says ustack.Plain
	p := new(Plain)
	if !r.st.Plain(r.s, &says) || !r.st.PlainHeaders(r.s, &p.Head) {
		return nil
	}
	p.tell(&says)
	p.Partial = 1
	return p
}

// hear takes in what the stack sent: data in order, nothing twice.
func (r *plainRig) hear() {
	for _, b := range r.vi.sent {
		payload := b[34+int(b[46]>>4)*4:]
		if len(payload) > 0 {
			require.Equal(r.t, r.ack, be.Uint32(b[38:]), "the next octets")
			r.heard.Write(payload)
			r.ack += uint32(len(payload))
		}
	}
	r.vi.sent = nil
}

func (r *plainRig) octets(most int) []byte {
	b := make([]byte, 1+r.rnd.IntN(most))
	for i := range b {
		b[i] = byte(r.rnd.Uint32())
	}
	return b
}

// spoil changes a packet in one way or another, and mostly makes the sums fit again.
func (r *plainRig) spoil(b []byte) []byte {
	for range 1 + r.rnd.IntN(2) {
		near := uint32(r.rnd.IntN(7) - 3)
		switch r.rnd.IntN(12) {
		case 0:
			be.PutUint32(b[38:], be.Uint32(b[38:])+near)
		case 1:
			be.PutUint32(b[42:], be.Uint32(b[42:])+near)
		case 2:
			b[47] ^= 1 << r.rnd.IntN(8)
		case 3:
			be.PutUint32(b[58:], be.Uint32(b[58:])+near)
		case 4:
			be.PutUint16(b[16:], be.Uint16(b[16:])+uint16(near))
		case 5:
			b[46] ^= 0x10 << r.rnd.IntN(4)
		case 6:
			b[54+r.rnd.IntN(4)] ^= 1 << r.rnd.IntN(8)
		case 7:
			be.PutUint32(b[38:], r.rnd.Uint32())
		case 8:
			be.PutUint32(b[42:], r.rnd.Uint32())
		case 9:
			return b[:r.rnd.IntN(len(b))]
		default:
			b[r.rnd.IntN(min(len(b), 66))] ^= 1 << r.rnd.IntN(8)
		}
	}
	if r.rnd.IntN(4) > 0 {
		r.sum(b)
	}
	return b
}

// TestWhatCTakesTheStackTakes: a packet that segment_read takes brings the connection just those octets.
func TestWhatCTakesTheStackTakes(t *testing.T) {
	r := newPlainRig(t, 1)
	taken, left, buf := 0, 0, make([]byte, 4096)
	for range 4000 {
		r.now += int64(r.rnd.IntN(2e6))
		r.ts += uint32(r.rnd.IntN(3))
		if r.rnd.IntN(4) == 0 { // something of ours to acknowledge, wholly or not
			_, err := r.s.Send(r.now, [][]byte{r.octets(3000)}, 0)
			require.NoError(t, err)
			have := r.ack
			r.hear()
			if r.rnd.IntN(3) == 0 && r.ack != have {
				r.ack = have + 1 + uint32(r.rnd.IntN(int(r.ack-have)))
			}
		}
		payload := r.octets(1448)
		b := r.packet(wire.ACK|wire.Flags(r.rnd.IntN(2))*wire.PSH, r.stamps(), payload)
		if r.rnd.IntN(10) < 6 {
			b = r.spoil(b)
		}
		p := r.plain()
		require.NotNil(t, p, "always in the plain state here")
		n := r.c.takes(p, b)
		r.ack = p.SndNxt
		if n == 0 {
			left++
			continue
		}
		taken++
		r.seq += uint32(n)
		r.ts = be.Uint32(b[58:])
		ack := be.Uint32(b[42:])
		r.vi.receive(b)
		r.st.TakeNext(r.now, r.s)
		require.Equal(t, n, r.s.InQ(), "% x", b[:66])
		got, _, err := r.s.Recv(r.now, [][]byte{buf}, 0)
		require.NoError(t, err)
		require.Equal(t, b[66:66+n], buf[:got])
		require.Equal(t, ack, r.plain().SndUna, "and its acknowledgment counts")
		r.hear()
		if p := r.plain(); p.SndUna != p.SndNxt { // the next round begins with all acknowledged
			r.vi.receive(r.packet(wire.ACK, r.stamps(), nil))
			r.st.Poll(r.now, 64)
			r.hear()
		}
	}
	require.Greater(t, taken, 800)
	require.Greater(t, left, 800)
}

// TestWhatCWritesTheStackWouldHaveWritten: the same segment, but for a window that may be smaller.
func TestWhatCWritesTheStackWouldHaveWritten(t *testing.T) {
	r := newPlainRig(t, 2)
	for range 1000 {
		r.now += int64(r.rnd.IntN(2e6))
		p, payload := r.plain(), r.octets(1448)
		require.NotNil(t, p)
		require.GreaterOrEqual(t, int(p.Most), len(payload))
		p.SentAt = uint64(r.now)
		b := r.c.writes(p, payload)
		_, err := r.s.Send(r.now, [][]byte{payload}, 0)
		require.NoError(t, err)
		require.Len(t, r.vi.sent, 1)
		theirs := bytes.Clone(r.vi.sent[0])
		require.LessOrEqual(t, be.Uint16(b[48:]), be.Uint16(theirs[48:]), "window")
		copy(b[48:50], theirs[48:50])
		require.Equal(t, theirs, b)
		r.hear()
		r.vi.receive(r.packet(wire.ACK|wire.PSH, r.stamps(), r.octets(1448)))
		r.st.Poll(r.now, 64)
		r.seq += uint32(r.s.InQ())
		_, _, err = r.s.Recv(r.now, [][]byte{make([]byte, 4096)}, 0)
		require.NoError(t, err)
		r.vi.sent = nil // an ACK, perhaps
	}
}

// TestEarlyAndLate: requests and answers, each taken and sent early or by the stack as it comes. The streams are whole, every
// segment leaves once, and no frame is lost.
func TestEarlyAndLate(t *testing.T) {
	r := newPlainRig(t, 3)
	frames := r.pool.Free() + len(r.vi.posted)
	var said, answered bytes.Buffer
	buf := make([]byte, 65536)
	early := 0
	for range 4000 {
		r.now += int64(r.rnd.IntN(100e3))
		request := r.octets(1448)
		said.Write(request)
		b := r.packet(wire.ACK|wire.PSH, r.stamps(), request)
		p := r.plain()
		r.vi.receive(b)
		r.seq += uint32(len(request))
		byC, n := false, 0
		if p != nil && r.rnd.IntN(2) == 0 {
			n = r.c.takes(p, b)
		}
		if n > 0 {
			byC = true
			r.read.Write(b[66 : 66+n])
			p.RcvNxt, p.SndUna = p.RcvNxt+uint32(n), be.Uint32(b[42:])
			p.TSRecent = be.Uint32(b[58:])
		} else {
			r.st.Poll(r.now, 64)
			got, _, err := r.s.Recv(r.now, [][]byte{buf}, 0)
			require.NoError(t, err)
			r.read.Write(buf[:got])
			p = r.plain()
		}
		answer := r.octets(1448)
		answered.Write(answer)
		frame, ok := r.st.Frame()
		require.True(t, ok)
		sends := p != nil && r.rnd.IntN(2) == 0 && p.SndUna == p.SndNxt && len(answer) <= int(p.Most) && p.At <= uint64(r.now)
		if sends {
			early++
			p.SentAt = uint64(r.now)
			copy(r.vi.mem.Frame(frame)[pbuf.Headroom:], answer)
			r.vi.sent = append(r.vi.sent, r.c.writes(p, answer))
			r.vi.events = append(r.vi.events, efvi.Event{Kind: efvi.EventTX, Frame: frame})
			r.st.Sent(r.s, frame, tcp.Seq(p.SndNxt), len(answer))
		}
		if byC {
			r.st.TakeNext(r.now, r.s)
			require.Equal(t, n, r.s.Skip(r.now, n))
		}
		took, err := r.s.Send(r.now, [][]byte{answer}, 0)
		require.NoError(t, err)
		require.Equal(t, len(answer), took)
		require.False(t, r.st.Missed(), "what left early was made")
		r.st.Unframe(frame)
		r.hear()
	}
	require.Greater(t, early, 500)
	require.Equal(t, said.Bytes(), r.read.Bytes())
	require.Equal(t, answered.Bytes(), r.heard.Bytes())
	r.vi.receive(r.packet(wire.ACK, r.stamps(), nil))
	r.st.Poll(r.now, 512)
	require.Equal(t, frames, r.pool.Free()+len(r.vi.posted), "frames")
	require.Zero(t, r.st.Host().SendStats().RetransSegs)
}

// TestTheEndIsTold: what the slot says of a connection is void once the peer has reset it. (Else the next octets would seem to be sent.)
func TestTheEndIsTold(t *testing.T) {
	r := newPlainRig(t, 4)
	require.NotNil(t, r.plain())
	r.st.Watch(r.s, true)
	r.vi.receive(r.packet(wire.RST|wire.ACK, r.stamps(), nil))
	r.st.Poll(r.now, 64)
	require.Equal(t, 1, r.told)
	require.Nil(t, r.plain())
}

// TestThePortOfWhatMovedIsUsedAgain: late packets of a connection that was handed to the kernel are nobody's, but those of its successor are.
func TestThePortOfWhatMovedIsUsedAgain(t *testing.T) {
	r := newPlainRig(t, 5)
	r.s.Host().Leave(r.now)
	r.vi.receive(r.packet(wire.ACK|wire.PSH, r.stamps(), []byte("late")))
	r.st.Poll(r.now, 64)
	require.Empty(t, r.vi.sent, "an answer to what is the kernel's")
	r.now += 2e6
	r.seq += 1 << 20
	r.s = r.open()
	r.vi.receive(r.packet(wire.ACK|wire.PSH, r.stamps(), []byte("new")))
	r.st.Poll(r.now, 64)
	require.Equal(t, 3, r.s.InQ())
}

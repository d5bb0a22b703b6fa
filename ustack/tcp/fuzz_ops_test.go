package tcp

import (
	"time"

	"github.com/sluice-net/sluice/ustack/wire"
)

// The events of FuzzConn. Segments are described relative to what the connection expects, so that few bytes reach far.

// peer is the number the peer sends next, and the acknowledgment it would send, as the connection sees it.
func (z *fuzzer) peer() (seq, ack Seq) {
	if z.c != nil && z.c.state != Closed {
		return z.c.rcvNxt, z.c.snd.nxt
	}
	return z.irs.Add(1), z.iss.Add(1)
}

// give sends the connection a segment, unless the device has no frame for it.
func (z *fuzzer) give(f wire.Flags, seq, ack Seq, wnd uint16, n int, change func(*Segment)) {
	s := &Segment{Flags: f, Seq: seq, Ack: ack, Wnd: wnd, Ifindex: 1}
	if z.h.Params.Timestamps {
		s.Opts.Set = wire.HasTimestamp
		s.Opts.TSVal = 100 + uint32((z.now-1e12)/millisecond)
		s.Opts.TSEcr = z.tsOff() + uint32((z.now-1e12)/millisecond)
	}
	if n > 0 {
		if z.pool.Free() == 0 {
			return
		}
		z.payload(s, n)
		s.Buf.MarkReceived()
	}
	if change != nil {
		change(s)
	}
	if n > 0 && f.Any(wire.SYN) { // it takes a number in front of the data
		copy(s.Buf.Bytes(), pattern(s.Seq+1-z.irs, n))
	}
	if f.Any(wire.FIN) {
		z.peerFIN = true
	}
	z.input(s)
}

// base is one of the numbers that mean something, of the peer's or of ours.
func (z *fuzzer) base(k byte, ours bool) Seq {
	if z.c == nil {
		if ours {
			return z.iss
		}
		return z.irs
	}
	c := z.c
	if ours {
		return [...]Seq{c.snd.una, c.snd.nxt, c.snd.end, c.snd.iss, c.snd.wndEnd(), c.snd.highSeq, c.sndUp, 0}[k%8]
	}
	return [...]Seq{c.rcvNxt, c.irs, c.rcvWup.Add(int(c.rcvWnd)), c.rcvWup, c.copied, c.urg.seq, c.rcvNxt - 1, 0}[k%8]
}

// offset is small or large, in both directions.
func offset(b byte) int {
	v := int(int8(b))
	if v < -64 || v > 63 {
		return v * 977
	}
	return v
}

func (z *fuzzer) raw() {
	f := wire.Flags(z.byte())
	seq := z.base(z.byte(), false).Add(offset(z.byte()))
	ack := z.base(z.byte(), true).Add(offset(z.byte()))
	wnd, n := z.u16(), int(z.byte())*6
	z.give(f, seq, ack, wnd, n, func(s *Segment) {
		s.Urg, s.CE = uint16(n/2), n&8 != 0
		if f.Any(wire.SYN) {
			s.Opts = wire.TCPOptions{Set: wire.HasMSS | wire.HasWScale | wire.HasSACKPerm | wire.HasTimestamp&s.Opts.Set,
				MSS: wnd, WScale: uint8(n), TSVal: s.Opts.TSVal, TSEcr: s.Opts.TSEcr}
		}
	})
}

func (z *fuzzer) data() {
	seq, ack := z.peer()
	z.give(wire.ACK|wire.PSH, seq, ack, 60000, int(z.byte())*6, nil)
}

// ahead leaves a hole of some segments.
func (z *fuzzer) ahead() {
	seq, ack := z.peer()
	z.give(wire.ACK, seq.Add(int(z.byte())*150), ack, 60000, int(z.byte())*6, nil)
}

// old is data seen before, at least in part.
func (z *fuzzer) old() {
	seq, ack := z.peer()
	z.give(wire.ACK, seq.Add(-int(z.byte())*10), ack, 60000, int(z.byte())*6, nil)
}

func (z *fuzzer) ackAll() {
	seq, ack := z.peer()
	z.give(wire.ACK, seq, ack, 60000-uint16(z.byte())*100, 0, nil)
}

func (z *fuzzer) ackSome() {
	seq, _ := z.peer()
	z.give(wire.ACK, seq, z.base(0, true).Add(int(z.byte())*400), 60000, 0, nil)
}

// window is an ACK that says little else than how much the peer takes.
// fast is a SYN with data, as Fast Open has it, or our SYN's answer.
func (z *fuzzer) fast() {
	k, n := z.byte(), int(z.byte())*6
	f, seq, ack := wire.SYN, z.irs, Seq(0)
	if k&1 != 0 && z.c != nil {
		f, ack = wire.SYN|wire.ACK, z.base(k>>1, true)
	}
	if k&16 != 0 {
		f |= wire.FIN
	}
	z.give(f, seq, ack, 60000, n, func(s *Segment) {
		s.Opts.Set |= wire.HasMSS | wire.HasSACKPerm | wire.HasFastOpen
		s.Opts.MSS, s.Opts.CookieLen = 1460, k&8
	})
}

func (z *fuzzer) window() {
	seq, _ := z.peer()
	z.give(wire.ACK, seq, z.base(0, true), z.u16(), 0, nil)
}

// sack acknowledges up to four ranges, in segments behind SND.UNA; 0 makes one a duplicate below it.
func (z *fuzzer) sack() {
	seq, _ := z.peer()
	una := z.base(0, true)
	bits, size := z.byte(), int(z.byte()%16)*100+48
	z.give(wire.ACK, seq, una, 60000, 0, func(s *Segment) {
		for i := range Seq(8) {
			if bits>>i&1 != 0 && s.Opts.NSACK < wire.MaxSACK {
				at := una + i*Seq(size)*3
				if i == 0 {
					at = una - Seq(size)
				}
				s.Opts.SACK[s.Opts.NSACK] = wire.SACKBlock{Left: uint32(at), Right: uint32(at.Add(size * int(1+bits&1)))}
				s.Opts.NSACK++
			}
		}
	})
}

func (z *fuzzer) fin() {
	seq, ack := z.peer()
	z.give(wire.FIN|wire.ACK, seq, ack, 60000, 0, nil)
}

func (z *fuzzer) syn() {
	z.give(wire.SYN, z.irs.Add(offset(z.byte())), 0, 60000, 0, func(s *Segment) {
		s.Opts.Set |= wire.HasMSS | wire.HasSACKPerm | wire.HasWScale
		s.Opts.MSS, s.Opts.WScale = 1460, 7
	})
}

func (z *fuzzer) urgent() {
	seq, ack := z.peer()
	n := int(z.byte()) * 6
	z.urged = true
	z.give(wire.ACK|wire.URG, seq, ack, 60000, n, func(s *Segment) { s.Urg = uint16(z.byte()) * 8 })
}

// tick lets time pass; where ACKs wait for answers the program may wait before.
func (z *fuzzer) tick() {
	b := z.byte()
	if b&64 != 0 && z.h.Answers.Wait != 0 {
		z.late(true)
	}
	z.pass(time.Millisecond << (b % 18))
}

// deadline goes on to where a timer goes off, some times.
func (z *fuzzer) deadline() {
	for range z.byte()%16 + 1 {
		if at := z.next(); at != 0 {
			z.pass(time.Duration(max(at-z.now, 0)))
		}
		if z.c != nil {
			checkConn(z.t, z.c)
		}
	}
}

func (z *fuzzer) read() {
	n, flags := int(z.byte())*17, int(z.byte())&(msgPeek|msgTrunc|msgOOB)
	if z.c == nil {
		return
	}
	at, urged := z.c.copied, z.urged || z.c.urg.have != urgNone
	b := make([]byte, n)
	got, _, err := z.c.Read(z.now, [][]byte{b[:n/3], b[n/3:]}, flags)
	must(z.t, got <= n && (err == nil || got == 0), "%d of %d bytes read, %v", got, n, err)
	if urged || flags&msgTrunc != 0 || z.c.irs != z.irs {
		return
	}
	for i, v := range b[:got] {
		must(z.t, v == streamByte(at.Sub(z.irs)+i), "byte %d of the peer's stream is wrong", at.Sub(z.irs)+i)
	}
}

func (z *fuzzer) write() {
	n, flags := int(z.byte())*33, 0
	if n&7 == 1 {
		flags = msgMore
	}
	if n&63 == 2 {
		flags = msgOOB
	}
	if z.c == nil {
		return
	}
	b := pattern(Seq(z.wrote), n)
	got, err := z.c.Write(z.now, [][]byte{b[:n/2], b[n/2:]}, flags)
	must(z.t, got <= n && (err == nil || got == 0), "%d of %d bytes written, %v", got, n, err)
	z.wrote += got
}

func (z *fuzzer) close() {
	if z.c != nil && z.byte()&1 == 0 {
		z.c.Close(z.now)
	}
}

func (z *fuzzer) shutdown() {
	if how := int(z.byte() % 4); z.c != nil {
		_ = z.c.Shutdown(z.now, how)
	}
}

func (z *fuzzer) abort() {
	if z.c != nil && z.byte()&3 == 3 {
		z.c.Abort(z.now)
	}
}

// option sets and reads one.
func (z *fuzzer) option() {
	name, v := z.byte(), z.u16()
	if z.c == nil {
		return
	}
	level, val := solTCP, optInt(int(int16(v)))
	if name&0x80 != 0 {
		level = solSocket
	}
	if name &= 0x7f; level == solTCP && name == tcpCongestion {
		val = []byte([]string{"cubic", "reno", "bbr", "bbr3", "none"}[v%5])
	} else if level == solSocket && name == soLinger {
		val = append(optInt(int(v&1)), optInt(int(v>>1)&7)...)
	}
	_ = z.c.SetOption(z.now, level, int(name), val)
	_, _ = z.c.Option(z.now, level, int(name), make([]byte, 1+int(v&255)))
}

// move freezes the connection, and thaws it, or makes another of it.
func (z *fuzzer) move() {
	back := z.byte()&1 != 0
	if z.c == nil {
		return
	}
	snap, err := z.c.Freeze(z.now)
	if err != nil {
		return
	}
	z.give(wire.ACK, z.c.rcvNxt, z.c.snd.nxt, 100, 0, nil)
	if back {
		z.c.Thaw(z.now)
		return
	}
	old := z.c
	old.Forget(z.now)
	if old.is(flagOrphan) { // the stack lets go of it
		z.c, z.conn = nil, nil
		return
	}
	c, err := Adopt(z.now, z.h, snap, Path{z.rig.mtu})
	if err != nil {
		z.c, z.conn = nil, nil
		return
	}
	c.Owner = z.rig
	z.c, z.conn = c, c
	c.irs, z.told = old.irs, false
}

func (z *fuzzer) mtu() {
	mtu := int(z.byte()) * 16
	if z.c == nil {
		return
	}
	icmp := mtu&16 != 0
	if !icmp {
		z.rig.mtu = max(mtu, 552)
	}
	z.c.PathMTU(z.now, mtu, z.c.snd.una, icmp)
}

func (z *fuzzer) soft() {
	if k := z.byte(); z.c != nil {
		z.c.SoftError(z.now, ErrHostUnreach, z.base(k, true), k&8 != 0)
	}
}

func (z *fuzzer) prune() {
	if z.c != nil {
		z.c.Prune()
	}
}

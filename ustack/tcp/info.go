package tcp

import "encoding/binary"

// infoLen is the size of struct tcp_info as Linux 6.18 knows it.
const infoLen = 280

// Offsets in struct tcp_info, <linux/tcp.h>.
const (
	infoRTO       = 8
	infoUnacked   = 24
	infoLastSent  = 44
	infoPMTU      = 60
	infoRcvRTT    = 92
	infoTotalRex  = 100
	infoPacing    = 104
	infoBytesAck  = 120
	infoSegsOut   = 136
	infoNotsent   = 144
	infoDelivRate = 160
	infoBusyTime  = 168
	infoDelivered = 192
	infoBytesSent = 200
	infoDSACKDups = 216
	infoRcvOOO    = 224
	infoSndWnd    = 228 // also tcpi_rcv_wnd
	infoTotalRTO  = 240 // two of 16 bits, and one of 32
)

// info fills struct tcp_info and returns how many bytes of out that took. Where this stack does not count what a field
// wants, the field is zero.
func (c *Conn) info(now int64, out []byte) int {
	var b [infoLen]byte
	c.infoHead(b[:])
	c.infoSender(now, b[:])
	c.infoReceiver(now, b[:])
	return copy(out, b[:])
}

func put32(b []byte, at int, v ...uint32) {
	for i, x := range v {
		binary.NativeEndian.PutUint32(b[at+4*i:], x)
	}
}

func put64(b []byte, at int, v ...uint64) {
	for i, x := range v {
		binary.NativeEndian.PutUint64(b[at+8*i:], x)
	}
}

// Bits of tcpi_options.
const (
	infoTimestamps = 1
	infoSACK       = 2
	infoWScale     = 4
	infoECN        = 8
	infoSYNData    = 32
)

func (c *Conn) infoHead(b []byte) {
	b[0] = byte(c.state)
	b[1] = byte(c.snd.state)
	b[2] = c.snd.tmr.retries
	b[3] = max(c.probesOut, c.snd.probe.tries)
	b[4] = max(c.snd.rtt.back, c.snd.probe.back)
	for _, f := range [...]struct {
		have connFlags
		bit  byte
	}{{flagTS, infoTimestamps}, {flagSACK, infoSACK}, {flagWScale, infoWScale}, {flagECN, infoECN}, {flagSYNData, infoSYNData}} {
		if c.is(f.have) {
			b[5] |= f.bit
		}
	}
	b[6] = c.sndScale&15 | c.rcvScale<<4
	if c.snd.rate.appLimited {
		b[7] = 1
	}
	if c.rare != nil {
		b[7] |= c.rare.failed << 1
	}
	usec := func(ns int64) uint32 { return uint32(ns / 1000) }
	put32(b, infoRTO, usec(c.snd.rto()), usec(c.ack.ato), uint32(c.snd.mss), uint32(c.ack.rcvMSS))
}

func (c *Conn) infoSender(now int64, b []byte) {
	s := &c.snd
	msec := func(at int64) uint32 { return uint32((now - at) / millisecond) }
	put32(b, infoUnacked, s.sb.out, s.sb.sacked, s.sb.lost, s.sb.rexmit, 0)
	put32(b, infoLastSent, msec(s.lastSent), 0, msec(c.ack.lastData), msec(max(s.lastAck, c.lastRecv)))
	put32(b, infoPMTU, uint32(c.mtu), uint32(c.win.ssthresh), uint32(s.rtt.srtt/1000), uint32(s.rtt.mdev/1000),
		s.ssthresh, s.cwnd, uint32(c.advMSS), uint32(s.rack.reordering))
	put32(b, infoTotalRex, s.sb.total)
	pacing := uint64(s.windowRate())
	if s.pace.on {
		pacing = uint64(s.pace.rate)
	}
	if pacing == 0 {
		pacing = ^uint64(0)
	}
	limit := c.opt.MaxPacing
	if limit == 0 {
		limit = ^uint64(0)
	}
	put64(b, infoPacing, pacing, limit)
	put64(b, infoBytesAck, c.bytesOut, c.bytesIn)
	put32(b, infoSegsOut, c.segsOut, c.segsIn, uint32(max(s.unsent(), 0)), uint32(s.rtt.min.get()/1000), c.dataIn, c.dataOut)
	put64(b, infoDelivRate, uint64(s.rate.rate))
	busy, rwnd, sndbuf := s.chrono.times(now)
	put64(b, infoBusyTime, busy, rwnd, sndbuf)
	put32(b, infoDelivered, s.rate.delivered, s.rate.deliveredCE)
	put64(b, infoBytesSent, c.bytesOut+uint64(s.nxt.Sub(s.una))+s.sb.bytesAgain, s.sb.bytesAgain)
	put32(b, infoDSACKDups, s.sb.dsacks, s.sb.reorders)
	put32(b, infoSndWnd, s.wnd, uint32(c.offered()))
	binary.NativeEndian.PutUint16(b[infoTotalRTO:], s.sb.timeouts)
	binary.NativeEndian.PutUint16(b[infoTotalRTO+2:], s.sb.recoveries)
	put32(b, infoTotalRTO+4, s.timeRecovering(now))
}

func (c *Conn) infoReceiver(now int64, b []byte) {
	put32(b, infoRcvRTT, uint32(c.win.rtt/1000), uint32(c.win.space))
	put32(b, infoRcvOOO, c.oooIn)
}

// info of a listener: the accept queue and its bound, as the kernel tells them.
func (l *Listener) info(out []byte) int {
	var b [infoLen]byte
	b[0] = byte(Listening)
	put32(b[:], infoUnacked, uint32(l.done.n), uint32(l.backlog))
	return copy(out, b[:])
}

// SegsIn is how many segments came in, of the handshake too.
func (c *Conn) SegsIn() uint32 { return c.segsIn }

package tcp

// chrono measures what a connection with something to send waits for, as Linux' tcp_chrono: tcpi_busy_time,
// tcpi_rwnd_limited and tcpi_sndbuf_limited. Of several reasons at a time the higher one counts, in milliseconds.
type chrono struct {
	stat  [3]uint32 // by reason, without the present one's time
	since uint32    // when the present reason began
	kind  chronoKind
}

type chronoKind uint8

const (
	chronoNone   chronoKind = iota
	chronoBusy              // something is queued
	chronoRwnd              // the peer's window holds it back
	chronoSndbuf            // all is sent, and the program finds no room
)

func (c *chrono) set(now int64, k chronoKind) {
	ms := uint32(now / millisecond)
	if c.kind != chronoNone {
		c.stat[c.kind-1] += ms - c.since
	}
	c.kind, c.since = k, ms
}

// start begins a reason unless a better one holds.
func (c *chrono) start(now int64, k chronoKind) {
	if k > c.kind {
		c.set(now, k)
	}
}

// stop ends a reason; busy is what remains while something is queued.
func (s *sender) stopChrono(now int64, k chronoKind) {
	switch {
	case s.q.head == nil:
		if s.chrono.kind != chronoNone {
			s.chrono.set(now, chronoNone)
		}
	case s.chrono.kind == k && k != chronoBusy:
		s.chrono.set(now, chronoBusy)
	}
}

// ackedChrono looks what an ACK ended: everything is acknowledged, or there is room to write.
func (s *sender) ackedChrono(now int64) {
	if s.q.head == nil || !s.buf.noSpace {
		s.stopChrono(now, chronoSndbuf)
	}
}

// times are the three in microseconds; the busy time is the sum of all.
func (c *chrono) times(now int64) (busy, rwnd, sndbuf uint64) {
	v := c.stat
	if c.kind != chronoNone {
		v[c.kind-1] += uint32(now/millisecond) - c.since
	}
	rwnd, sndbuf = uint64(v[chronoRwnd-1])*1000, uint64(v[chronoSndbuf-1])*1000
	return uint64(v[chronoBusy-1])*1000 + rwnd + sndbuf, rwnd, sndbuf
}

package tcp

// Diag is what inet_diag(7) tells of a socket, beside the addresses: see tools such as ss(8). Sizes are in bytes.
type Diag struct {
	Timer      DiagTimer
	Expires    int64 // ns from now
	Retrans    uint8 // timeouts, or probes, in a row without an answer
	Rmem       int   // of frames that hold what the program has not read
	RcvBuf     int
	Wmem       int // what the send queue costs
	SndBuf     int
	Congestion string
	Info       [infoLen]byte // struct tcp_info
}

// DiagTimer is idiag_timer.
type DiagTimer uint8

// The timers that inet_diag(7) knows.
const (
	DiagOff DiagTimer = iota
	DiagOn            // retransmission, early retransmission or tail loss probe
	DiagKeepalive
	DiagTimeWait
	DiagPersist
)

// Diag fills d.
func (c *Conn) Diag(now int64, d *Diag) {
	*d = Diag{RcvBuf: c.win.buf, SndBuf: c.snd.buf.size, Wmem: c.snd.q.charge, Congestion: c.opt.Congestion}
	if d.Congestion == "" {
		d.Congestion = c.h.Params.Congestion
	}
	d.Rmem = int(c.rq.frames) * c.h.Pool.FrameSize()
	switch t := &c.snd.tmr; {
	case t.kind == timerProbe:
		d.Timer, d.Expires, d.Retrans = DiagPersist, t.at-now, c.snd.probe.tries
	case t.kind != timerNone:
		d.Timer, d.Expires, d.Retrans = DiagOn, t.at-now, t.retries
	case c.keepAt != 0:
		d.Timer, d.Expires, d.Retrans = DiagKeepalive, c.keepAt-now, c.probesOut
	}
	d.Expires = max(d.Expires, 0)
	c.info(now, d.Info[:])
}

// Diag fills d.
func (l *Listener) Diag(d *Diag) {
	p := l.h.Params
	*d = Diag{Congestion: first(l.opt.Congestion, p.Congestion), RcvBuf: first(l.opt.RcvBuf, p.Rmem[1]), SndBuf: first(l.opt.SndBuf, p.Wmem[1])}
	l.info(d.Info[:])
}

// SomeHalfOpen calls f for connections in SYN-RECEIVED, with the number of SYN-ACKs repeated and when the next is due: those at places
// [from, from+n) of the table. It returns from which place to go on, -1: that was all.
func (l *Listener) SomeHalfOpen(from, n int, f func(flow Flow, repeats uint8, at int64)) int {
	recs := l.half.recs[min(from, len(l.half.recs)):]
	for i := range recs[:min(n, len(recs))] {
		if r := &recs[i]; r.flow.Local.IsValid() {
			f(r.flow, r.timeouts, r.at)
		}
	}
	return goOn(from, n, len(l.half.recs))
}

// Some calls f for flows with the time at which each ends, to the second: those at places [from, from+n) of the table. It returns from which
// place to go on, -1: that was all.
func (t *TimeWaits) Some(from, n int, f func(flow Flow, s State, until int64)) int {
	recs := t.recs[min(from, len(t.recs)):]
	for i := range recs[:min(n, len(recs))] {
		if r := &recs[i]; r.state != 0 {
			f(r.flow, r.state, r.second*1e9)
		}
	}
	return goOn(from, n, len(t.recs))
}

func goOn(from, n, all int) int {
	if from+n >= all {
		return -1
	}
	return from + n
}

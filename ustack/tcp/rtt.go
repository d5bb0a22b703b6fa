package tcp

// rttEstimator is RFC 6298 with the details of Linux: the variance has a floor of the least RTO instead of the RTO
// itself, rises at once and falls once per round trip. Times are nanoseconds.
type rttEstimator struct {
	srtt   int64 // smoothed round-trip time, 0: none yet
	mdev   int64 // mean deviation
	maxDev int64 // the largest mdev of this round trip
	rttvar int64 // what the RTO uses: smoothed maxDev
	rto    int64 // without backoff
	last   int64 // newest sample
	min    minFilter
	seq    Seq   // end of the round trip that maxDev is for
	back   uint8 // how many times the RTO is doubled
}

const (
	initialRTO  = 1e9 // "the sender SHOULD set RTO <- 1 second" RFC 6298 §2 (2.1)
	fallbackRTO = 3e9 // "the RTO MUST be re-initialized to 3 seconds" RFC 6298 §5 (5.7), if the SYN timed out
)

func (e *rttEstimator) init() {
	e.rto = initialRTO
	e.mdev, e.rttvar, e.maxDev = initialRTO, 0, 0
}

// sample takes one measurement m > 0. una and nxt are the connection's: a round trip ends when una passes what nxt was.
func (e *rttEstimator) sample(p *Params, m int64, una, nxt Seq) {
	lo, hi := int64(p.RTOMin), int64(p.RTOMax)
	m = max(m, 1)
	e.last = m
	if e.srtt == 0 {
		// "the host MUST set SRTT <- R, RTTVAR <- R/2, RTO <- SRTT + max (G, K*RTTVAR)", K = 4. RFC 6298 §2 (2.2)
		e.srtt, e.mdev = m, m/2
		e.rttvar = max(e.mdev, lo/4)
		e.maxDev, e.seq = e.rttvar, nxt
		e.update(hi)
		return
	}
	e.deviate(m - e.srtt)
	// "SRTT <- (1 - alpha) * SRTT + alpha * R'", alpha = 1/8. RFC 6298 §2 (2.3)
	e.srtt += (m - e.srtt) / 8
	if e.mdev > e.maxDev {
		e.maxDev = e.mdev
		e.rttvar = max(e.rttvar, e.maxDev)
	}
	if una.GT(e.seq) {
		if e.maxDev < e.rttvar {
			e.rttvar -= (e.rttvar - e.maxDev) / 4
		}
		e.seq, e.maxDev = nxt, lo/4
	}
	e.update(hi)
}

// deviate is "RTTVAR <- (1 - beta) * RTTVAR + beta * |SRTT - R'|", beta = 1/4 (RFC 6298 §2 (2.3)), except that a
// sample far below the mean counts an eighth, so that a path that became shorter does not raise the timeout (Eifel).
func (e *rttEstimator) deviate(d int64) {
	if d >= 0 {
		e.mdev += (d - e.mdev) / 4
		return
	}
	d = -d - e.mdev
	if d > 0 {
		d /= 8
	}
	e.mdev += d / 4
}

// update is "RTO <- SRTT + max (G, K*RTTVAR)"; a fresh sample also ends the backoff.
func (e *rttEstimator) update(hi int64) {
	e.rto = min(e.srtt+4*e.rttvar, hi)
	e.back = 0
}

// minFilter is the least sample of a window of time, kept as the best of the whole window and of its later parts
// (Kathleen Nichols' filter).
// Times are milliseconds modulo 2^32, samples units of 4 ns and 17 s at most: in every connection the filter is half as large so.
type minFilter struct {
	t [3]uint32
	v [3]uint32 // 0: none yet
}

const minRTTUnit = 4

func (f *minFilter) get() int64 { return int64(f.v[0]) * minRTTUnit }

// add takes a sample v > 0 of the time now; window is in the past what is forgotten. All are nanoseconds.
func (f *minFilter) add(now, v, window int64) {
	f.take(uint32(now/millisecond), uint32(min(max(v/minRTTUnit, 1), 1<<32-1)), uint32(window/millisecond))
}

func (f *minFilter) take(now, v, window uint32) {
	if f.v[0] == 0 || v <= f.v[0] || now-f.t[2] > window {
		f.t, f.v = [3]uint32{now, now, now}, [3]uint32{v, v, v}
		return
	}
	if v <= f.v[1] {
		f.t[1], f.v[1] = now, v
		f.t[2], f.v[2] = now, v
	} else if v <= f.v[2] {
		f.t[2], f.v[2] = now, v
	}
	f.age(now, v, window)
}

// age moves the later minima up when the first is too old, or starts collecting them in the second quarter and half.
func (f *minFilter) age(now, v, window uint32) {
	dt := now - f.t[0]
	switch {
	case dt > window:
		f.t, f.v = [3]uint32{f.t[1], f.t[2], now}, [3]uint32{f.v[1], f.v[2], v}
		if now-f.t[0] > window {
			f.t, f.v = [3]uint32{f.t[1], f.t[2], now}, [3]uint32{f.v[1], f.v[2], v}
		}
	case f.t[1] == f.t[0] && dt > window/4:
		f.t[1], f.v[1] = now, v
		f.t[2], f.v[2] = now, v
	case f.t[2] == f.t[1] && dt > window/2:
		f.t[2], f.v[2] = now, v
	}
}

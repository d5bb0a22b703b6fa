package tcp

// pacer spreads segments over time: for BBR, and for any algorithm below SO_MAX_PACING_RATE. Segments leave in bursts of
// a quantum, as a kernel's TSO packets do, so that not each one costs a timer.
type pacer struct {
	limit int64 // SO_MAX_PACING_RATE, 0 none
	began int64 // when the present burst began
	next  int64 // when the next burst may leave
	left  int32 // bytes of the present burst that may leave at once
	held  bool  // a segment waited for next
	free  uint8 // data segments that still leave unpaced: the first ten of a connection, as in Linux
	on    bool  // else nothing is paced, and all is zero
	rate  int64 // bytes a second, 0: not known yet
	wake  int64 // when a segment that waits may leave, 0: none waits
}

// set takes a rate.
func (p *pacer) set(rate int64) {
	if p.limit > 0 {
		rate = min(rate, p.limit)
	}
	p.rate = rate
}

// ready says whether a segment may leave now, and sets the wake-up if not.
func (p *pacer) ready(now int64) bool {
	if !p.on || p.left > 0 || now >= p.next {
		p.wake = 0
		return true
	}
	p.wake, p.held = p.next, true
	return false
}

// sent takes the time of one segment of n bytes: "C.next_send_time = max(Now(), C.next_send_time) [...] pacing_delay =
// packet.size / C.pacing_rate" draft-ietf-ccwg-bbr.
func (p *pacer) sent(s *sender, now int64, n int) {
	if p.rate <= 0 || n == 0 {
		return
	}
	if p.free > 0 {
		p.free--
		return
	}
	if p.left <= 0 || now != p.began && now >= p.next {
		p.begin(now, s.burst())
	}
	p.left -= int32(n)
	p.next += int64(n) * 1e9 / p.rate
}

// begin starts a burst. Time that passed since it could have left is made good for, or coarse timers would lower the
// rate: all of it up to a millisecond if it waited and the wake-up was late, half a burst's else.
func (p *pacer) begin(now int64, burst int) {
	late := int64(burst) * 1e9 / p.rate / 2
	if p.held {
		late = max(late, paceLate)
	}
	p.left, p.held, p.began = int32(burst), false, now
	p.next = max(p.next, now-late)
}

const paceLate = 1e6

// update takes the rate of an algorithm that has none of its own: "tcp_update_pacing_rate" of Linux, twice the window
// a round trip in slow start and 1.2 times of it later, or as tcp_pacing_ss_ratio and tcp_pacing_ca_ratio have it.
func (p *pacer) update(s *sender) {
	if p.on && !s.ownCwnd {
		p.set(s.windowRate())
	}
}

func (s *sender) windowRate() int64 {
	if s.rtt.srtt == 0 {
		return 0
	}
	gain := s.p.PacingCA
	if s.cwnd < s.ssthresh/2 {
		gain = s.p.PacingSS
	}
	return s.rateOf(float64(gain) / 100 * float64(max(s.cwnd, s.sb.out)) * 1e9 / float64(s.rtt.srtt))
}

// setMaxPacing is SO_MAX_PACING_RATE in bytes a second, 0 none.
func (s *sender) setMaxPacing(rate uint64) {
	if rate == ^uint64(0) || rate == 1<<32-1 {
		rate = 0
	}
	was := s.pace
	s.usePacer(int64(min(rate, 1<<62)))
	switch {
	case !s.pace.on:
	case !s.ownCwnd:
		s.pace.set(s.windowRate())
	case was.on:
		s.pace.set(was.rate)
	}
}

// usePacer begins with a new pacer, or with none if neither the algorithm nor limit asks for it.
func (s *sender) usePacer(limit int64) {
	s.pace = pacer{}
	if s.ownCwnd || limit > 0 {
		s.pace = pacer{on: true, limit: limit, free: paceFree}
	}
}

const paceFree = 10 // data segments that leave unpaced

const (
	quantumMost = 65535 - 320 // what a kernel's TSO packet holds
	quantumSlow = 1_200_000 / 8
)

// quantum is how many segments leave at once: "C.send_quantum = C.pacing_rate * 1ms; C.send_quantum = min(C.send_quantum,
// 64 KBytes); C.send_quantum = max(C.send_quantum, 2 * C.SMSS)", one segment below 1.2 Mbit/s.
func (s *sender) quantum() int {
	least := 2
	if s.pace.rate < quantumSlow {
		least = 1
	}
	return min(max(int(min(s.pace.rate>>10, quantumMost))/s.mss, least), 127)
}

// burst is quantum in bytes, and more on a short path, as Linux' tcp_tso_rtt_log: there a burst disturbs nobody.
func (s *sender) burst() int {
	return max(s.quantum()*s.mss, s.autosize(s.pace.rate))
}

package tcp

// reno is NewReno's congestion control, RFC 5681.
type reno struct{}

func (*reno) name() string { return "reno" }

// reduce: "ssthresh = max (FlightSize / 2, 2*SMSS)" RFC 5681 §3.1 (4), from cwnd as in Linux. For ECN the factor is 0.8,
// "The recommendation in this document specifies a value of beta_{ecn}=0.8" RFC 8511 §3.1.
func (*reno) reduce(s *sender, now int64, why ccEvent) uint32 {
	if why == ccECN {
		return max(s.cwnd*4/5, 2)
	}
	return max(s.cwnd/2, 2)
}

func (*reno) grow(s *sender, now int64, n uint32) {
	if s.cwnd < s.ssthresh {
		if n = s.slowStart(n); n == 0 {
			return
		}
	}
	s.additive(s.cwnd, n)
}

func (*reno) sample(*sender, int64, ackSample) {}

func (*reno) lost(*sender, int64, *txRec)   {}
func (*reno) event(*sender, int64, ccEvent) {}

// slowStart adds one segment for each acknowledged one, up to ssthresh, and returns what is left over. "cwnd += min (N,
// SMSS)" RFC 5681 §3.1 (2), counted in segments, so that ACKs for many segments do not slow it down.
func (s *sender) slowStart(n uint32) uint32 {
	to := min(s.cwnd+n, s.ssthresh)
	n -= to - s.cwnd
	s.cwnd = min(to, s.clamp)
	return n
}

// additive adds one segment for each w acknowledged ones. "cwnd += SMSS*SMSS/cwnd" RFC 5681 §3.1 (3)
func (s *sender) additive(w, n uint32) {
	if s.cwndCnt >= w {
		s.cwndCnt = 0
		s.cwnd++
	}
	s.cwndCnt += n
	if s.cwndCnt >= w {
		s.cwnd += s.cwndCnt / w
		s.cwndCnt %= w
	}
	s.cwnd = min(s.cwnd, s.clamp)
}

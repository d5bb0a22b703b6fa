package tcp

// prr is Proportional Rate Reduction, RFC 6937 and its successor draft-ietf-tcpm-prr-rfc6937bis: during a reduction the
// window follows what the network delivers, so that it ends at ssthresh without a burst and without a silence.
type prr struct {
	cwnd      uint32 // RecoverFS: cwnd when the reduction began
	delivered uint32 // segments delivered since
	out       uint32 // segments sent since
}

// beginReduction starts an episode; ssthresh is what it ends with.
func (s *sender) beginReduction(now int64, why ccEvent) {
	s.highSeq = s.nxt
	s.tlp = tlp{}
	s.cwndCnt = 0
	s.undo.cwnd = s.cwnd
	s.prr = prr{cwnd: s.cwnd}
	s.ssthresh = s.cc.reduce(s, now, why)
	s.ecn.reduced()
}

// step computes cwnd on an ACK that delivered n segments:
//
//	"if (pipe > ssthresh) sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out
//	 else { sndcnt = MAX(prr_delivered - prr_out, DeliveredData); if (safeACK) sndcnt += MSS;
//	        sndcnt = MIN(ssthresh - pipe, sndcnt) }
//	 if (prr_out is 0 AND sndcnt is 0) sndcnt = MSS; cwnd = pipe + sndcnt"
//
// safe means that una advanced and nothing more was lost.
func (s *sender) reduceStep(n uint32, safe bool) {
	p := &s.prr
	if n == 0 || p.cwnd == 0 {
		return
	}
	p.delivered += n
	pipe := s.inFlight()
	var send int64
	if pipe > s.ssthresh {
		send = (int64(s.ssthresh)*int64(p.delivered)+int64(p.cwnd)-1)/int64(p.cwnd) - int64(p.out)
	} else {
		send = max(int64(p.delivered)-int64(p.out), int64(n))
		if safe {
			send++
		}
		send = min(int64(s.ssthresh)-int64(pipe), send)
	}
	if p.out == 0 {
		send = max(send, 1) // the first retransmission always leaves
	}
	s.cwnd = max(pipe+uint32(max(send, 0)), 1)
}

// endReduction: "cwnd = ssthresh" at the end of recovery.
func (s *sender) endReduction(now int64) { s.endReductionFrom(now, s.state) }

func (s *sender) endReductionFrom(now int64, st caState) {
	if !s.ownCwnd && s.ssthresh < infinite && (st == caCWR || s.undo.on) {
		s.cwnd = max(s.ssthresh, 1)
		s.cwv.stamp = now
	}
	s.cc.event(s, now, ccComplete)
}

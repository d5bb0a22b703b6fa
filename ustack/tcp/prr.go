package tcp

// prr is Proportional Rate Reduction, RFC 9937: during a reduction the window follows what the network delivers, so that it
// ends at ssthresh without a burst and without a silence.
type prr struct {
	cwnd      uint32 // RecoverFS: as in Linux cwnd when the reduction began, not what was in flight
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

// reduceStep computes cwnd on an ACK that delivered n segments, the "Per-ACK Steps" of RFC 9937:
//
//	if (inflight > ssthresh) { // Proportional Rate Reduction
//		SndCnt = DIV_ROUND_UP(prr_delivered * ssthresh, RecoverFS) - prr_out
//	} else { // PRR-CRB by default
//		SndCnt = MAX(prr_delivered - prr_out, DeliveredData)
//		if (safeACK) SndCnt += MSS // PRR-SSRB when recovery is in good progress
//		SndCnt = MIN(ssthresh - inflight, SndCnt) // Attempt to catch up, as permitted
//	}
//	if (prr_out is 0 AND SndCnt is 0) SndCnt = MSS // Force a fast retransmit upon entering recovery
//	cwnd = inflight + SndCnt
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

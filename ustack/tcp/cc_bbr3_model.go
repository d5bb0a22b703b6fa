package tcp

// most is BBR.max_bw, "the windowed maximum recent bandwidth sample [...] measured during the current or previous bandwidth
// probing cycle".
func (b *bbr3) most() float64 { return max(b.maxBW[0], b.maxBW[1]) }

// bw is "BBR.bw = min(BBR.max_bw, BBR.bw_shortterm)".
func (b *bbr3) bw() float64 { return min(b.most(), b.shortBW) }

// updateBW is "UpdateMaxBw()" with "UpdateRound()": "if (P.delivered >= BBR.next_round_delivered)".
func (b *bbr3) updateBW(s *sender, r *ackSample) {
	b.newRound = false
	if r.interval <= 0 {
		return
	}
	if int32(r.prior-b.nextRound) >= 0 {
		b.nextRound = s.rate.delivered
		b.rounds++
		b.sinceUp++
		b.newRound = true
	}
	if bw := r.rate(); bw >= b.most() || !r.limited {
		b.maxBW[1] = max(b.maxBW[1], bw)
	}
}

// advanceMaxBW is "AdvanceMaxBwFilter()": "the BBR.max_bw filter only needs to track samples from two time slots". A cycle
// without samples of its own does not make the flow forget those of the one before.
func (b *bbr3) advanceMaxBW() {
	if b.maxBW[1] > 0 {
		b.maxBW[0], b.maxBW[1] = b.maxBW[1], 0
	}
}

// aggWindow is half of BBR.extra_acked's window: "1 round trip during STARTUP and 10 round trips after exiting STARTUP".
func (b *bbr3) aggWindow() uint8 {
	if b.full {
		return aggRounds
	}
	return 1
}

// bdp is "BDPMultiple(gain)": "if (BBR.min_rtt == Infinity) return C.InitialCwnd".
func (b *bbr3) bdp(bw, gain float64) uint32 {
	if b.minRTT == 0 || bw == 0 {
		return initialWindow
	}
	return uint32(min(gain*bw*float64(b.minRTT)/1e9, infinite/2)) + 1
}

// inflight is "Inflight(gain)", at bw.
func (b *bbr3) inflight(s *sender, bw, gain float64) uint32 { return b.quantize(s, b.bdp(bw, gain)) }

// quantize is "QuantizationBudget(inflight_cap)": "BBR.offload_budget = 3 * C.send_quantum".
func (b *bbr3) quantize(s *sender, n uint32) uint32 {
	n = max(n, 3*uint32(s.quantum()), bbrMinCwnd)
	if b.state == bbr3Up {
		n += 2
	}
	return n
}

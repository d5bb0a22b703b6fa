package tcp

// aggregation estimates how much more than the bandwidth says arrives acknowledged at once: "BBR.extra_acked is a volume
// of data that is the estimate of the recent degree of aggregation in the network path".
type aggregation struct {
	since int64     // BBR.extra_acked_interval_start
	acked uint32    // BBR.extra_acked_delivered
	most  [2]uint32 // the most of this window of rounds, and of the one before
	age   uint8     // rounds of this window
	at    uint8     // index of this window
}

const (
	aggRounds = 5     // a window; two of them are "10 round trips after exiting STARTUP"
	aggMost   = 100e6 // the window never grows by more than this time's worth
	aggReset  = 1 << 20
)

// update takes an ACK; bw is BBR's bandwidth, rounds how many round trips each of the two windows lasts. "Reset interval
// if ACK rate is below expected rate [...] extra = BBR.extra_acked_delivered - expected_delivered; extra = min(extra,
// C.cwnd)".
func (g *aggregation) update(s *sender, bw float64, rounds uint8, newRound bool, r *ackSample) {
	if r.acked == 0 || r.interval <= 0 {
		return
	}
	if newRound {
		if g.age++; g.age >= rounds {
			g.age, g.at = 0, 1-g.at
			g.most[g.at] = 0
		}
	}
	expected := uint32(bw * float64(s.rate.at-g.since) / 1e9)
	if g.acked <= expected || g.acked+r.acked >= aggReset {
		g.acked, g.since, expected = 0, s.rate.at, 0
	}
	g.acked += r.acked
	g.most[g.at] = max(g.most[g.at], min(g.acked-expected, s.cwnd))
}

// extra is by how much the window is larger for it.
func (g *aggregation) extra(bw float64) uint32 {
	return min(max(g.most[0], g.most[1]), uint32(bw*aggMost/1e9))
}

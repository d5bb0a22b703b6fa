package moves

import "github.com/sluice-net/sluice/tests/testrig"

// lose drops that share of the packets at the client's device, in both directions.
func (r *rig) lose(share float64) {
	r.t.Helper()
	testrig.Lose(r.t, r.bed.Client, share)
}

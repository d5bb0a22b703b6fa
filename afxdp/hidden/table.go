package hidden

import "slices"

// without is an RSS table in which the hidden queues do not occur: each of their entries goes to the queue that has the fewest, the lowest
// of equals. The other entries stay, so that flows the kernel has keep their queues. The result is nil if no queue is left.
func without(table []uint32, hidden []int) []uint32 {
	isHidden := func(q uint32) bool { return slices.Contains(hidden, int(q)) }
	load := map[uint32]int{}
	for _, q := range table {
		if !isHidden(q) {
			load[q]++
		}
	}
	if len(load) == 0 {
		return nil
	}
	out := slices.Clone(table)
	for i, q := range out {
		if !isHidden(q) {
			continue
		}
		best, found := uint32(0), false
		for v, n := range load {
			if !found || n < load[best] || n == load[best] && v < best {
				best, found = v, true
			}
		}
		out[i] = best
		load[best]++
	}
	return out
}

// over is a table that spreads evenly over the given queues.
func over(queues []int, entries int) []uint32 {
	out := make([]uint32, entries)
	for i := range out {
		out[i] = uint32(queues[i%len(queues)])
	}
	return out
}

// usual tells whether a table is what drivers set by themselves (ethtool_rxfh_indir_default).
func usual(table []uint32, rings int) bool {
	for i, q := range table {
		if q != uint32(i%rings) {
			return false
		}
	}
	return true
}

// Package hidden takes receive queues of a network card away from the kernel, and steers chosen flows to them. It is EF_VI's idea on any
// card with ntuple filters:
//
//	table.go     the RSS table loses the queue, so that no packet of the kernel's is hashed to it
//	ladder.go    a filter becomes rules; what the card refuses is asked for narrower, then wider
//	steer.go     rules are shared by those who want the same, and never cross those of others
//	journal.go   what was changed is written down before it is changed
//	repair.go    what a process that was killed left behind is put back
//
// A rule may be coarser than the filter: whoever reads the queue passes on to the kernel what is not its own (afxdp/steer does so with
// XDP_PASS), so a packet is never lost to the kernel, it only arrives on another queue.
//
// All of this was tried on devices in memory (ethtool/fakenic) that have the limits of real drivers, and by comparing the requests with
// those of ethtool(8). It was never run on a real card.
package hidden

package steer

import "fmt"

// reasons names the counters, in the order of enum reason in steer.c.
var reasons = [...]string{
	"not_tcp",          // not TCP over plain IPv4 or IPv6
	"other_host",       // for another MAC address, or to a group
	"malformed",        // too short or inconsistent
	"fragment",         // IPv4 fragment
	"extension_header", // IPv6 with extension headers
	"no_entry",         // neither listener nor connect entry
	"forwarded",        // wildcard listener's port, but another host's address
	"kernel_socket",    // the kernel has the connection
	"quiet_syn",        // SYN while the queue is quiet
	"quiet_drop",       // no socket on the queue, which is changing hands: dropped, its sender will repeat it
	"no_queue",         // ours, but no socket on the queue
	"icmp_redirected",  // ICMP error about one of ours, to the queue's socket
	"redirected",       // to the queue's socket
	"no_listener",      // SYN to a listener entry whose socket is gone, or to a leased port on which the kernel listens
	"shared_syn",       // SYN that is left to the kernel for processes without a queue
}

// Counters says how many packets went which way, by reason. All but quiet_drop, redirected
// and icmp_redirected went to the kernel.
func (p *Program) Counters() (map[string]uint64, error) {
	out := make(map[string]uint64, len(reasons))
	var perCPU []uint64
	for i, name := range reasons {
		if err := p.maps.Counters.Lookup(uint32(i), &perCPU); err != nil {
			return nil, fmt.Errorf("read counter %s: %w", name, err)
		}
		for _, n := range perCPU {
			out[name] += n
		}
	}
	return out, nil
}

package engine

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
)

// portRange is which ports the kernel gives by itself: ip_local_port_range without ip_local_reserved_ports.
type portRange struct {
	low, high int // both included; 0: they can't be known
	reserved  [65536 / 64]uint64
}

// hostPorts is the range of this thread's network namespace.
func hostPorts() *portRange {
	const dir = "/proc/sys/net/ipv4/ip_local_"
	limits, _ := os.ReadFile(dir + "port_range")
	reserved, _ := os.ReadFile(dir + "reserved_ports")
	return newPortRange(string(limits), string(reserved))
}

// newPortRange reads two numbers, and a list such as "8080,9000-9009".
func newPortRange(limits, reserved string) *portRange {
	r := &portRange{}
	if n, _ := fmt.Sscan(limits, &r.low, &r.high); n < 2 || r.low < 1 || r.high > 65535 || r.low > r.high {
		*r = portRange{}
	}
	for _, part := range strings.Split(strings.TrimSpace(reserved), ",") {
		a, b, ok := strings.Cut(part, "-")
		if !ok {
			b = a
		}
		first, err := strconv.ParseUint(a, 10, 16)
		last, err2 := strconv.ParseUint(b, 10, 16)
		for n := first; err == nil && err2 == nil && n <= last; n++ {
			r.reserved[n/64] |= 1 << (n % 64)
		}
	}
	return r
}

// toTry is what to bind to for n ports: so many that those n are found as a rule in a half that is three quarters taken. 0: whatever the kernel
// chooses, where the range can't be known.
func (r *portRange) toTry(n int) iter.Seq[uint16] {
	if r.low == 0 {
		return slices.Values(make([]uint16, n))
	}
	return r.candidates(4*n+256, rand.IntN)
}

// candidates are ports to try, in an order that is hard to foretell (RFC 6056 section 3.1), with next as its chance. Those of the kernel's connect come
// first: of a range, its bind takes every second port, from its second on, and leaves the others to connect, whose ports ours are; then the
// others. At most tries of each half: the kernel itself looks at every port, 10 ms and more where connections in TIME-WAIT have most.
func (r *portRange) candidates(tries int, next func(n int) int) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		if r.low == 0 {
			return
		}
		for half := range 2 {
			ports := (r.high - r.low - half + 2) / 2
			if ports <= 0 {
				continue
			}
			at, step := next(ports), 1+next(ports)
			for gcd(step, ports) != 1 { // else the walk comes round before it was everywhere
				step++
			}
			for range min(tries, ports) {
				at = (at + step) % ports
				n := r.low + half + 2*at
				if r.reserved[n/64]>>(n%64)&1 == 0 && !yield(uint16(n)) {
					return
				}
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

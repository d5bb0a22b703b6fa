// Package knobs is the one table of environment variables that sluice
// understands. The help text, the README and the tests derive from it; the
// preload object has its own parser in C (shim/knobs.c), which a test holds
// to the same answers.
package knobs

import (
	"fmt"
	"sort"
	"strings"
)

// Prefix starts the name of every knob but the switch itself.
const Prefix = "SLUICE_"

// Knob is one environment variable.
type Knob struct {
	Name    string             // the variable
	Default string             // what an unset variable means, as it would be written
	Doc     string             // one or two sentences for help and README
	Check   func(string) error // nil for a value that can be used
}

// Table lists every knob, sorted by name.
var Table = []Knob{
	{"SLUICE", "on", "`off` leaves everything to the kernel.", checkSwitch},
	{"SLUICE_BROKER", "/run/sluice/broker.sock", "Path of the broker's socket.", checkPath},
	{"SLUICE_CONGESTION", "host", "Congestion control of connections whose program asks for none: `host` (what `net.ipv4.tcp_congestion_control` says), `cubic`, `reno`, `bbr` (version 1, as in the kernel) or `bbr3` (the current draft).", checkCongestion},
	{"SLUICE_CONNECT", "none", "Outgoing connections to accelerate: `cidr:ports`, comma-separated, as `10.0.0.0/8:6379` or `0.0.0.0/0:*`.", checkConnect},
	{"SLUICE_DEVICES", "all", "Network devices to use, comma-separated; `all` means each one that carries the listener's address.", checkDevices},
	{"SLUICE_FAST", "all", "Short cuts to take: `all`, `none`, or some of `ack`, `batch`, `checksum`, `cork`, `peek`, `plain`, `prefetch`, `recycle`, `tso`, comma-separated; see docs/performance.md.", checkFast},
	{"SLUICE_LISTEN", "*", "Listeners to accelerate, comma-separated: `*`, `80`, `8000-8100`, `192.0.2.1:443`, `[2001:db8::1]:443`; `none` for none.", checkListen},
	{"SLUICE_LOG", "error", "`off`, `error`, `info` or `debug` on stderr, or a path to append to at level info.", checkLog},
	{"SLUICE_SLOW_USEC", "0", "Log calls into the engine that take more microseconds than this, 0 to 1000000; 0 logs none.", checkSpin},
	{"SLUICE_SPIN_USEC", "20", "Microseconds a waiting call spins before it sleeps, 0 to 1000000; none while the thread's last waits took more than twice that.", checkSpin},
}

// Lookup finds a knob by name.
func Lookup(name string) (Knob, bool) {
	i := sort.Search(len(Table), func(i int) bool { return Table[i].Name >= name })
	if i < len(Table) && Table[i].Name == name {
		return Table[i], true
	}
	return Knob{}, false
}

// Validate reports, in the order given, every entry of an environment
// (NAME=value) that looks like a knob and is unknown or has a bad value.
func Validate(environ []string) []error {
	var errs []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name != "SLUICE" && !strings.HasPrefix(name, Prefix) {
			continue
		}
		k, ok := Lookup(name)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: unknown variable", name))
			continue
		}
		if err := k.Check(value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", name, value, err))
		}
	}
	return errs
}

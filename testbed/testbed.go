// Package testbed makes two network namespaces joined by a veth pair, for tests, benchmarks and
// the demo, and checks that nothing of them is left afterwards.
//
//	┌─ slt-s… ────────────────┐   ┌─ slt-c… ────────────────┐
//	│ Server  10.77.0.1       │   │ Client  10.77.0.2       │
//	│         fd77::1   veth0 ╪═══╪ veth0   fd77::2         │
//	└─────────────────────────┘   └─────────────────────────┘
//
// With Config.Middle a third namespace lies between the two, whose devices toServer and toClient nothing joins: see
// package path.
package testbed

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
)

// Config says what to make. Every zero means the default.
type Config struct {
	Queues int // receive and transmit queues at both ends; default 4
	MTU    int // bytes; default 1500
	Middle bool
}

func (c Config) withDefaults() Config {
	if c.Queues == 0 {
		c.Queues = 4
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	return c
}

// Bed is a pair of namespaces, Server and Client, and one between them if it was asked for.
type Bed struct{ Server, Client, Middle *Node }

// Prefix begins the name of every namespace this package makes.
const Prefix = "slt-"

var serial atomic.Uint32

// New makes a bed, with loopback and veth0 up at both ends. Needs root. Beds do not see each
// other, so the addresses are the same in each.
func New(cfg Config) (*Bed, error) {
	cfg = cfg.withDefaults()
	id := fmt.Sprintf("%d-%d", os.Getpid(), serial.Add(1))
	b := &Bed{
		Server: &Node{
			Name: Prefix + "s-" + id, Device: "veth0", fd: -1,
			IPv4: netip.MustParseAddr("10.77.0.1"), IPv6: netip.MustParseAddr("fd77::1"),
		},
		Client: &Node{
			Name: Prefix + "c-" + id, Device: "veth0", fd: -1,
			IPv4: netip.MustParseAddr("10.77.0.2"), IPv6: netip.MustParseAddr("fd77::2"),
		},
	}
	if cfg.Middle {
		b.Middle = &Node{Name: Prefix + "m-" + id, Device: ToServer, fd: -1}
	}
	if err := b.build(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("make testbed: %w", err), b.Close())
	}
	return b, nil
}

func (b *Bed) build(cfg Config) error {
	for _, n := range b.nodes() {
		if err := n.create(); err != nil {
			return err
		}
	}
	if err := b.join(cfg); err != nil {
		return err
	}
	for _, n := range []*Node{b.Server, b.Client} {
		if err := n.Do(n.configure); err != nil {
			return fmt.Errorf("configure %s: %w", n.Name, err)
		}
	}
	return nil
}

// Close ends what still runs in the namespaces and removes them, devices and all. It may be
// called twice.
func (b *Bed) Close() error {
	var errs []error
	for _, n := range b.nodes() {
		errs = append(errs, n.endConnections())
	}
	for _, n := range b.nodes() {
		errs = append(errs, n.remove())
	}
	return errors.Join(errs...)
}

func (b *Bed) nodes() []*Node {
	if b.Middle == nil {
		return []*Node{b.Server, b.Client}
	}
	return []*Node{b.Server, b.Client, b.Middle}
}

// Names are those of the bed's namespaces, for WaitClean.
func (b *Bed) Names() (names []string) {
	for _, n := range b.nodes() {
		names = append(names, n.Name)
	}
	return names
}

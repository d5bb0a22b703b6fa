// Package testbed makes two network namespaces joined by a veth pair, for tests, benchmarks and
// the demo, and checks that nothing of them is left afterwards.
package testbed

import (
	"errors"
	"net/netip"
	"os/exec"
	"time"
)

// Config says what to make. Every zero means the default.
type Config struct {
	Queues int // receive and transmit queues at both ends; default 4
	MTU    int // bytes; default 1500
}

// Bed is a pair of namespaces, Server and Client.
type Bed struct{ Server, Client *Node }

// Node is one namespace and its end of the veth pair.
type Node struct {
	Name       string // of the namespace, under /run/netns
	Device     string
	Ifindex    int
	MAC        [6]byte
	IPv4, IPv6 netip.Addr
}

// New makes a bed. Its names begin with "slt-". Needs root.
func New(cfg Config) (*Bed, error) { return nil, errors.ErrUnsupported }

// Close ends what still runs in the namespaces and removes them.
func (b *Bed) Close() error { return nil }

// FD is the namespace's descriptor, good until Close.
func (n *Node) FD() int { return -1 }

// Path is a file that names the namespace, for setns and nsenter --net=.
func (n *Node) Path() string { return "/run/netns/" + n.Name }

// Do runs fn in the namespace; see netns.Do.
func (n *Node) Do(fn func() error) error { return nil }

// Start starts cmd in the namespace. The mount namespace stays the caller's.
func (n *Node) Start(cmd *exec.Cmd) error { return nil }

// Run runs a command in the namespace to its end and returns what it wrote to both outputs.
func (n *Node) Run(name string, args ...string) (string, error) { return "", nil }

// Leftovers lists what is left of the named namespaces, or of every namespace this package makes
// if none is named: namespaces, devices, processes, XDP programs, pins and mounts.
func Leftovers(names ...string) ([]string, error) { return nil, nil }

// WaitClean waits until Leftovers finds nothing, at most that long.
func WaitClean(limit time.Duration, names ...string) error { return nil }

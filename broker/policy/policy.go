// Package policy says who may have connections accelerated: which users, on which devices, which ports. The broker asks it; without a file
// everything is allowed, since a program gets nothing but connections of sockets it holds.
//
//	rules:                         # the first that fits decides; who fits none is refused
//	  - users: [www-data, 1000-1999]
//	    devices: [eth0]
//	    listen: [80, 443, 8000-8999]
//	  - users: [root]
//	    listen: [all]
//	    connect: true
//	limits:                        # of one user; root has none
//	  processes: 256
//	  memory: 4096                 # MiB of umem
package policy

import (
	"fmt"
	"slices"
)

// Policy is what a file says. Nil allows everything.
type Policy struct {
	rules  []rule
	Limits Limits
}

// Limits are for all programs of one user together; 0: none. They do not hold for root.
type Limits struct {
	Processes int `yaml:"processes"` // that have a channel to the broker
	Memory    int `yaml:"memory"`    // MiB of umem
}

// rule allows something to somebody.
type rule struct {
	users   spans // empty: everybody
	devices []string
	listen  spans
	connect bool
}

// span is a range of numbers, both ends included.
type span struct{ from, to uint32 }

type spans []span

func (s spans) have(n uint32) bool {
	return slices.ContainsFunc(s, func(r span) bool { return r.from <= n && n <= r.to })
}

// Listen says why a user may not have a port's connections on a device, nil if he may.
func (p *Policy) Listen(uid uint32, device string, port uint16) error {
	if p == nil {
		return nil
	}
	for _, r := range p.rules {
		if r.of(uid, device) && r.listen.have(uint32(port)) {
			return nil
		}
	}
	return fmt.Errorf("the policy has no rule that lets uid %d listen on port %d of %s", uid, port, device)
}

// Connect says why a user may not have outgoing connections on a device, nil if he may.
func (p *Policy) Connect(uid uint32, device string) error {
	if p == nil {
		return nil
	}
	for _, r := range p.rules {
		if r.of(uid, device) && r.connect {
			return nil
		}
	}
	return fmt.Errorf("the policy has no rule that lets uid %d connect by %s", uid, device)
}

func (r rule) of(uid uint32, device string) bool {
	return (len(r.users) == 0 || r.users.have(uid)) && (len(r.devices) == 0 || slices.Contains(r.devices, device))
}

package steer

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// FirstSpur is the number of the first queue that is a spur: a device behind this one, whose single queue packets reach from each of this
// one's. There are MaxSpurs.
const (
	FirstSpur = 768
	MaxSpurs  = 256
)

// Way are the spurs that an entry's packets are spread over: Spurs of them from queue number First on. Each connection keeps to one. The
// zero value stands for the sockets of the device's own queues.
type Way struct{ First, Spurs int }

// flags is the upper half of an entry's flags, as in steer.c.
func (w Way) flags() uint32 {
	if w.Spurs == 0 {
		return 0
	}
	return uint32(w.Spurs)<<24 | uint32(w.First-FirstSpur)<<16
}

func wayOf(flags uint32) Way {
	n := int(flags >> 24)
	if n == 0 {
		return Way{}
	}
	return Way{FirstSpur + int(flags>>16&0xff), n}
}

// HasSpurs tells whether the program knows of spurs. One that was attached by an earlier version does not.
func (p *Program) HasSpurs() bool { return p.maps.Spurs != nil && p.maps.SpurEnds != nil }

// SetSpur makes spur number queue the device ifindex of the network namespace ns; socket is the AF_XDP socket at its end. The
// entry goes by itself with the device.
func (p *Program) SetSpur(queue, ns, ifindex, socket int) error {
	if !p.HasSpurs() {
		return fmt.Errorf("set spur %d: %w", queue, unix.EOPNOTSUPP)
	}
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err == nil {
		err = p.maps.SpurEnds.Put(uint32(queue), cookie)
	}
	if err == nil { // the kernel finds the device where the caller is
		err = netns.Do(ns, func() error { return p.maps.Spurs.Put(uint32(queue), uint32(ifindex)) })
	}
	if err != nil {
		return fmt.Errorf("set spur %d: %w", queue, err)
	}
	return nil
}

// HasSpur tells whether a spur is there.
func (p *Program) HasSpur(queue int) bool {
	var ifindex uint32
	return p.HasSpurs() && p.maps.Spurs.Lookup(uint32(queue), &ifindex) == nil
}

// EndsAt tells whether a spur is there and has this socket at its end.
func (p *Program) EndsAt(queue, socket int) (bool, error) {
	var want uint64
	if !p.HasSpur(queue) {
		return false, nil
	}
	if err := p.maps.SpurEnds.Lookup(uint32(queue), &want); err != nil {
		return false, fmt.Errorf("look up spur %d: %w", queue, err)
	}
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_COOKIE)
	return err == nil && cookie == want, err
}

func (p *Program) delSpur(queue int) error {
	if !p.HasSpurs() {
		return nil
	}
	if err := del(p.maps.Spurs, uint32(queue)); err != nil {
		return fmt.Errorf("delete spur %d: %w", queue, err)
	}
	return nil
}

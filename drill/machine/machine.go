// Package machine is a host for one packetdrill script: the stack between a script's system calls and its raw IP packets,
// in virtual time. Time goes on only when the script sleeps or waits for a packet, from one of the stack's deadlines to
// the next, so that a run never depends on the machine it runs on.
//
//	script: calls ──► call.go, socket.go, data.go, option.go, poll.go ──► usock
//	script: packets ◄─► nic.go (adds and takes off the Ethernet header) ◄─► ustack
//	script: sleep, wait for a packet ──► time.go ──► Stack.Poll, then calls that were waiting
package machine

import (
	"math/rand/v2"
	"net/netip"

	"github.com/sluice-net/sluice/cabi/engine"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// Config is what the plug-in's flags say.
type Config struct {
	MTU    int        // of the device, bytes of IP packet; 0: 1500
	Local4 netip.Addr // the host's address; invalid: 192.168.0.1
	Local6 netip.Addr // invalid: fd3d:0a0b:17d6::1
	Params *tcp.Params

	// Settings is called before each call for what the script may have changed meanwhile; nil: nothing can.
	Settings func() *tcp.Params
	// Refuses tells whether the device takes nothing at present; nil: it always takes all.
	Refuses func() bool
	// Clock is told the time (ns) whenever it changes; may be nil.
	Clock func(now int64)
	// FD makes a descriptor number; nil: they count from 3.
	FD func() int
}

// Machine is one host. It is not safe for use by two threads at once.
type Machine struct {
	conf  Config
	now   int64
	prm   *tcp.Params
	stack *ustack.Stack
	nic   nic
	files map[int]file
	next  int    // descriptor
	port  uint16 // last one chosen for a connection
	waits []*waiter
	still int // steps since time went on
}

// frames of packet memory: 32 MiB.
const frames = 8192

// Begin is the time a machine starts at, in nanoseconds.
const Begin = int64(1e18)

// New makes a machine.
func New(c Config) *Machine {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if !c.Local4.IsValid() {
		c.Local4 = netip.MustParseAddr("192.168.0.1")
	}
	if !c.Local6.IsValid() {
		c.Local6 = netip.MustParseAddr("fd3d:a0b:17d6::1")
	}
	if c.Params == nil {
		c.Params = tcp.DefaultParams()
	}
	m := &Machine{conf: c, now: Begin, prm: c.Params, files: map[int]file{}, next: 3, port: 40000}
	mem := make([]byte, frames*efvi.FrameSize)
	pool := pbuf.New(mem, efvi.FrameSize)
	m.nic = nic{m: m, mem: mem}
	rng := rand.New(rand.NewPCG(1, 2))
	m.stack = ustack.New(ustack.Config{Pool: pool, Rand: rng.Uint64, Params: m.prm, Routes: m})
	m.stack.AddVI(&m.nic)
	m.publish()
	return m
}

// Now is the time in nanoseconds.
func (m *Machine) Now() int64 { return m.now }

func (m *Machine) publish() {
	if m.conf.Clock != nil {
		m.conf.Clock(m.now)
	}
}

// Refresh reads the settings again: scripts change them with sysctl(8) on the way.
func (m *Machine) Refresh() {
	if m.conf.Settings != nil {
		*m.prm = *m.conf.Settings()
	}
}

// Route is ustack.Router: everybody is one hop away.
func (m *Machine) Route(dst, src netip.Addr) (ustack.Hop, error) {
	if !src.IsValid() {
		if src = m.conf.Local6; dst.Unmap().Is4() {
			src = m.conf.Local4
		}
	}
	return ustack.Hop{Ifindex: 1, MTU: m.conf.MTU, Src: src, NextHop: dst, MAC: peerMAC, Resolved: true}, nil
}

// Resolve is ustack.Router: the hop is always known.
func (m *Machine) Resolve(int, netip.Addr) {}

// Generation is ustack.Router.
func (m *Machine) Generation() uint64 { return 1 }

// result is a call's result as a system call's: negative is an errno.
func result(n int, err error) int {
	if err != nil {
		return -int(engine.Errno(err))
	}
	return n
}

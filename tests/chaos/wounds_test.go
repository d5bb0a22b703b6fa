package chaos

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/path"
	"github.com/sluice-net/sluice/tests/testrig"
)

// wound is one thing that goes wrong around a program, whichever it is.
type wound struct {
	name   string
	breaks harm
	do     func(s *stand, rnd *rand.Rand)
}

// wounds of every program. After each of them stand.whole waits until it serves as before.
var wounds = []wound{
	{"kill the broker", harmless, func(s *stand, rnd *rand.Rand) {
		s.rig.Broker.Stop(syscall.SIGKILL)
		pause(rnd)
		s.rig.StartBroker()
		s.reborn.Store(time.Now().UnixNano())
	}},
	{"to the kernel and back", harmless, func(s *stand, rnd *rand.Rand) {
		pid := s.pid(rnd)
		for range 1 + rnd.IntN(4) {
			for _, way := range []string{"detach", "attach"} {
				errs, err := s.byHand(way, pid)
				if !strings.Contains(errs, "transport endpoint is not connected") { // the only ones there were ended meanwhile
					require.NoError(s.t, err, errs)
				}
				time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
			}
		}
	}},
	{"interface down and up", unreachable, func(s *stand, rnd *rand.Rand) {
		s.ip("link", "set", s.rig.Server.Device, "down")
		pause(rnd)
		s.ip("link", "set", s.rig.Server.Device, "up")
	}},
	{"address removed and added", unreachable, func(s *stand, rnd *rand.Rand) {
		addr := s.rig.Server.IPv4.String() + "/24"
		s.ip("addr", "del", addr, "dev", s.rig.Server.Device)
		pause(rnd)
		s.ip("addr", "add", addr, "dev", s.rig.Server.Device)
	}},
	{"MTU 600 and back", harmless, func(s *stand, rnd *rand.Rand) {
		s.ip("link", "set", s.rig.Server.Device, "mtu", "600")
		pause(rnd)
		s.ip("link", "set", s.rig.Server.Device, "mtu", "1500")
	}},
	{"neighbours forgotten", harmless, func(s *stand, _ *rand.Rand) {
		s.ip("neigh", "flush", "dev", s.rig.Server.Device)
	}},
	{"a route of its own, with an MTU of 800", harmless, func(s *stand, rnd *rand.Rand) { s.route(rnd, "dev", s.rig.Server.Device, "mtu", "800") }},
	{"no route for a while", unreachable, func(s *stand, rnd *rand.Rand) { s.route(rnd, "type", "unreachable") }},
	{"fewer queues, then as many again", openConns, (*stand).requeue}, // one that is just being made may be reset: docs/limits.md
	{"no descriptors left", refused, func(s *stand, rnd *rand.Rand) { s.limit(rnd, s.pid(rnd), descriptorLimit, 12) }},
	{"no memory left to map", refused, func(s *stand, rnd *rand.Rand) {
		pid := s.pid(rnd)
		size, _ := statm(s.t, pid)
		s.limit(rnd, pid, memoryLimit, size+64<<20)
	}},
	{"peers that ask for much and never read", harmless, (*stand).deaf},
	{"no processor to be had", harmless, (*stand).spin},
	{"loss", harmless, func(s *stand, rnd *rand.Rand) { s.worse(rnd, path.Link{Loss: 0.05}) }},
	{"reordering", harmless, func(s *stand, rnd *rand.Rand) {
		s.worse(rnd, path.Link{Delay: time.Millisecond, Reorder: 0.2, Hold: 5 * time.Millisecond})
	}},
	{"duplicates", harmless, func(s *stand, rnd *rand.Rand) { s.worse(rnd, path.Link{Dup: 0.3}) }},
	{"flipped bits", harmless, func(s *stand, rnd *rand.Rand) { s.worse(rnd, path.Link{Corrupt: 0.05}) }},
	{"stop and continue the broker", harmless, func(s *stand, rnd *rand.Rand) {
		s.rig.Broker.Signal(syscall.SIGSTOP)
		pause(rnd)
		s.rig.Broker.Signal(syscall.SIGCONT)
	}},
	{"the clock jumps", outOfTime, (*stand).jump},
	{"another link address and back", openConns, (*stand).relink}, // before the broker has told the XDP program, the kernel may answer: docs/limits.md
}

// route gives the client a route of its own for a while.
func (s *stand) route(rnd *rand.Rand, how ...string) {
	to := s.rig.Client.IPv4.String() + "/32"
	args := []string{"route", "add"}
	if how[0] == "type" {
		args, how = append(args, how[1]), nil
	}
	s.ip(append(append(args, to), how...)...)
	pause(rnd)
	s.ip("route", "del", to)
}

// relink gives the device another link address for a while; its neighbours learn of each.
func (s *stand) relink(rnd *rand.Rand) {
	var dev *net.Interface
	require.NoError(s.t, s.rig.Server.Do(func() (err error) { dev, err = net.InterfaceByName(s.rig.Server.Device); return err }))
	other := slices.Clone(dev.HardwareAddr)
	other[5] ^= byte(1 + rnd.IntN(255))
	for _, a := range []net.HardwareAddr{other, dev.HardwareAddr} {
		s.ip("link", "set", s.rig.Server.Device, "address", a.String())
		// To forget the neighbour instead would end what waits for it just then: "no route to host", whoever serves.
		_, err := s.rig.Client.Run("ip", "neigh", "replace", s.rig.Server.IPv4.String(), "lladdr", a.String(), "dev", s.rig.Client.Device, "nud", "reachable")
		require.NoError(s.t, err)
		pause(rnd)
	}
	s.relinked = time.Now()
}

// requeue tries to leave the device one receive queue, and its other end one to send to it. The kernel refuses that as long as an AF_XDP socket, also
// one that copies, is on a queue that would go; a program that lost its queues meanwhile must not have it either way.
func (s *stand) requeue(rnd *rand.Rand) {
	set := func(c channel, n int) error {
		_, err := c.node.Run("ethtool", "-L", c.device, c.what, fmt.Sprint(n))
		return err
	}
	to, from := channel{s.rig.Middle, testbed.ToServer, "tx"}, channel{s.rig.Server, s.rig.Server.Device, "rx"}
	if s.queues == 1 {
		return
	}
	require.NoError(s.t, set(to, 1)) // a device with an XDP program has to have as many as its other end sends to
	if err := set(from, 1); err == nil {
		pause(rnd)
		require.NoError(s.t, set(from, s.queues))
	}
	pause(rnd)
	require.NoError(s.t, set(to, s.queues))
}

type channel struct {
	node         *testbed.Node
	device, what string
}

// deaf opens connections that take nothing of what they ask for.
func (s *stand) deaf(rnd *rand.Rand) {
	small := net.Dialer{Timeout: testrig.Patience, Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
		return err
	}}
	var all []net.Conn
	for range 100 {
		var c net.Conn
		if s.rig.Client.Do(func() (err error) { c, err = small.Dial("tcp4", s.addr()); return err }) != nil {
			continue
		}
		_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Write(s.much)
		all = append(all, c)
	}
	pause(rnd)
	s.measureMemory()
	for _, c := range all {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	s.crowded()
}

// spin keeps all processors busy with something else.
func (s *stand) spin(rnd *rand.Rand) {
	var all []*testrig.Proc
	for range 6 {
		all = append(all, testrig.Start(s.t, nil, nil, "/bin/sh", "-c", "while :; do :; done"))
	}
	time.Sleep(time.Duration(200+rnd.IntN(600)) * time.Millisecond)
	for _, p := range all {
		p.Stop(syscall.SIGKILL)
	}
}

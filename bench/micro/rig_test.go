// Package micro measures the stack alone: in memory, no device, no kernel, no crossing from C. bench/netstack does the same
// work by gVisor's netstack, under the same names.
package micro

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/loop"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

const (
	mtu    = 1500
	frames = 4096 // of each stack
	budget = 256  // events of a turn
)

var (
	clientIP = netip.MustParseAddr("192.0.2.1")
	serverIP = netip.MustParseAddr("192.0.2.2")
	server   = netip.AddrPortFrom(serverIP, 80)
	epoch    = time.Now()
)

// now is the clock that the engine reads once a call.
func now() int64 { return int64(time.Since(epoch)) }

// way is a router that knows one neighbour.
type way struct {
	self, peer netip.Addr
	mac        [6]byte // the neighbour's
}

func (w way) Route(dst, _ netip.Addr) (ustack.Hop, error) {
	if dst != w.peer {
		return ustack.Hop{}, errors.New("no route")
	}
	return ustack.Hop{Ifindex: 1, MTU: mtu, Src: w.self, NextHop: dst, MAC: w.mac, Resolved: true}, nil
}

func (way) Resolve(int, netip.Addr) {}
func (way) Generation() uint64      { return 1 }

// quiet is told of readiness, and does nothing with it.
type quiet struct{}

func (quiet) Ready(*usock.Socket) {}

func newStack(mem efvi.Memory, w way) *ustack.Stack {
	rnd := rand.New(rand.NewPCG(1, 2))
	return ustack.New(ustack.Config{
		Pool: pbuf.New(mem.Bytes, efvi.FrameSize), Rand: rnd.Uint64, Params: tcp.DefaultParams(), Routes: w, Sink: quiet{},
	})
}

func memory() efvi.Memory { return efvi.Memory{Bytes: make([]byte, frames*efvi.FrameSize)} }

// pair is a client's stack and a server's, joined.
type pair struct {
	a, b     *ustack.Stack
	listener *usock.Socket
	port     uint16
}

func newPair(t testing.TB) *pair {
	am, bm := memory(), memory()
	x, y := loop.New(am, bm, loop.Config{Ring: 2048, Info: efvi.Info{Device: "loop", Ifindex: 1, MAC: [6]byte{2}, MTU: mtu}})
	p := &pair{a: newStack(am, way{clientIP, serverIP, y.Info().MAC}), b: newStack(bm, way{serverIP, clientIP, x.Info().MAC}), port: 1024}
	p.a.AddVI(x)
	p.b.AddVI(y)
	var err error
	if p.listener, err = p.b.Listen(now(), server, 128); err != nil {
		t.Fatal(err)
	}
	return p
}

// turn lets both stacks work once.
func (p *pair) turn() {
	p.b.Poll(now(), budget)
	p.a.Poll(now(), budget)
}

// until turns until a condition holds.
func (p *pair) until(t testing.TB, cond func() bool) {
	for turns := 0; !cond(); turns++ {
		if turns > 1_000_000 {
			t.Fatal("nothing happens any more")
		}
		p.turn()
	}
}

// open makes a connection.
func (p *pair) open(t testing.TB) (c, s *usock.Socket) {
	if p.port++; p.port == 0 {
		p.port = 1024
	}
	c, err := p.a.Connect(now(), netip.AddrPortFrom(clientIP, p.port), server)
	if err != nil {
		t.Fatal(err)
	}
	p.until(t, func() bool {
		s, err = p.listener.Accept(now())
		return err == nil
	})
	p.until(t, func() bool { return c.Ready()&usock.PollOut != 0 })
	return c, s
}

// move carries data from one end to the other's program.
func (p *pair) move(t testing.TB, from, to *usock.Socket, out, in [][]byte, size int) {
	buf := out[0][:size]
	for sent, got, turns := 0, 0, 0; got < size; turns++ {
		if sent < size {
			out[0] = buf[sent:]
			n, err := from.Send(now(), out, 0)
			if err != nil && err != tcp.ErrAgain {
				t.Fatal(err)
			}
			sent += n
		}
		p.turn()
		n, _, err := to.Recv(now(), in, 0)
		if err != nil && err != tcp.ErrAgain {
			t.Fatal(err)
		}
		if got += n; turns > 1_000_000 {
			t.Fatal("nothing happens any more")
		}
	}
	out[0] = buf[:cap(buf)]
}

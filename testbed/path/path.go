// Package path joins the two ends of a testbed.Bed that has a node in the middle, and impairs what passes: delay, a rate
// with a queue, random loss, reordering. (The kernels we test on have no netem.)
//
//	Server veth0 ══ toServer │ Path │ toClient ══ veth0 Client
//
// It forwards frame by frame on one thread between two packet sockets, so the ends must not leave checksums or
// segmentation to their devices: Start turns that off.
package path

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
)

// Link is what happens to the packets of one direction. The zero value only forwards.
type Link struct {
	Delay   time.Duration // one way
	Rate    int64         // bits per second, 0: no limit
	Queue   int           // packets the bottleneck of that rate holds; more are dropped. 0: no limit
	Loss    float64       // chance that a packet is lost
	Reorder float64       // chance that a packet is held back by Hold, and overtaken
	Hold    time.Duration
	Dup     float64 // chance that a packet comes twice
	Corrupt float64 // chance that one bit of a packet is flipped
}

// Counters are of both directions.
type Counters struct {
	Forwarded, Lost, QueueFull uint64
	Late                       uint64 // forwarded more than a millisecond after their time: the machine was too busy
}

// Path forwards until it is closed.
type Path struct {
	dirs    [2]*direction
	change  sync.Mutex // one Set at a time
	setting atomic.Pointer[setting]
	stop    atomic.Bool
	ended   chan struct{}
	count   [4]atomic.Uint64
}

type setting struct {
	links [2]Link
	seed  uint64
	taken chan struct{} // closed once packets are treated so
}

// Directions, as Set takes them.
const (
	ToClient = iota
	ToServer
)

// Start begins forwarding over b, whose config asked for a node in the middle.
func Start(b *testbed.Bed, mtu int) (*Path, error) {
	for _, n := range []*testbed.Node{b.Server, b.Client} {
		if out, err := n.Run("ethtool", "-K", n.Device, "tx", "off", "gso", "off", "tso", "off"); err != nil {
			return nil, fmt.Errorf("turn offloads off: %w: %s", err, out)
		}
	}
	p := &Path{ended: make(chan struct{})}
	p.setting.Store(&setting{taken: make(chan struct{})})
	err := b.Middle.Do(func() error {
		server, err := openSocket(testbed.ToServer)
		if err != nil {
			return err
		}
		client, err := openSocket(testbed.ToClient)
		if err != nil {
			_ = unix.Close(server)
			return err
		}
		p.dirs[ToClient] = newDirection(server, client, mtu)
		p.dirs[ToServer] = newDirection(client, server, mtu)
		return nil
	})
	if err != nil {
		return nil, err
	}
	go p.run()
	return p, nil
}

// Set changes both directions, and begins the random numbers anew. Packets under way keep the time they were given; what is sent once it has returned
// (after 50 ms at most) goes by the new ones.
func (p *Path) Set(toClient, toServer Link, seed uint64) {
	p.change.Lock()
	defer p.change.Unlock()
	s := &setting{links: [2]Link{toClient, toServer}, seed: seed, taken: make(chan struct{})}
	p.setting.Store(s)
	select {
	case <-s.taken:
	case <-p.ended:
	}
	for i := range p.count {
		p.count[i].Store(0)
	}
}

// Counters since Set.
func (p *Path) Counters() Counters {
	return Counters{p.count[forwarded].Load(), p.count[lost].Load(), p.count[queueFull].Load(), p.count[late].Load()}
}

// Close ends the forwarding.
func (p *Path) Close() {
	p.stop.Store(true)
	<-p.ended
	for _, d := range p.dirs {
		_ = unix.Close(d.in)
	}
}

const (
	forwarded = iota
	lost
	queueFull
	late
)

// idle is how often an idle path looks whether it is to end.
const idle = 50 * time.Millisecond

func (p *Path) run() {
	defer close(p.ended)
	runtime.LockOSThread() // and never unlocked: the thread ends with its priority
	beReal()
	now, active := int64(0), (*setting)(nil)
	for !p.stop.Load() {
		if s := p.setting.Load(); s != active {
			active = s
			for i, d := range p.dirs {
				d.set(s.links[i], s.seed+uint64(i))
			}
			close(s.taken)
		}
		now = nanotime()
		next := now + int64(idle)
		for _, d := range p.dirs {
			c := d.send(now)
			c.add(d.receive())
			for i := range c {
				if c[i] > 0 {
					p.count[i].Add(c[i])
				}
			}
			if len(d.wait) > 0 {
				next = min(next, d.wait[0].at)
			}
		}
		waitFor(p.dirs[0].in, p.dirs[1].in, next-nanotime())
	}
}

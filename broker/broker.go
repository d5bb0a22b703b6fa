package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// Broker is a running one.
type Broker struct {
	cfg    Config
	log    Logger
	back   backend
	listen *os.File
	pins   *pins
	began  time.Time
	wg     sync.WaitGroup
	leases atomic.Uint64
	events atomic.Uint64 // numbers of events that want an answer

	stopping chan struct{} // closed when the broker ends
	ended    chan struct{} // closed when it has ended

	key [32]byte // of secretOf

	mu       sync.Mutex
	closed   bool
	drains   bool // about to end: everyone gives up queues
	linger   *time.Timer
	doors    map[*door]bool
	clients  map[*client]bool
	spaces   map[uint64]*space
	held     []*heldOrphan
	count    Counters
	spare    spare
	past     [proto.NumCounters]uint64 // counters of processes that ended
	grace    map[steer.Pin]bool        // pins of an earlier broker nobody came for yet
	estates  map[string]*estate        // what programs left that an earlier broker served, or may leave
	dead     []dead                    // the last ones that ended with connections open
	mirrors  []*mirrored
	nmirror  uint64          // names of mirrors
	draining []chan struct{} // who waits for afterPackets
}

// Start starts a broker, which ends with ctx or by Close. Only root can.
func Start(ctx context.Context, cfg Config) (*Broker, error) {
	if os.Geteuid() != 0 && cfg.backend == nil {
		return nil, errors.New("the broker needs root")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Broker{
		cfg: cfg, log: cfg.Log, back: cfg.backend, began: time.Now(),
		stopping: make(chan struct{}), ended: make(chan struct{}), doors: map[*door]bool{}, clients: map[*client]bool{}, spaces: map[uint64]*space{},
	}
	if _, err := rand.Read(b.key[:]); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	// Lease numbers differ between brokers, so that an old one is never taken for a new one.
	b.leases.Store(uint64(b.began.UnixMicro()))
	l, err := listenSocket(cfg.Socket)
	if err != nil {
		return nil, err
	}
	b.listen = l
	if _, real := cfg.backend.(kernel); !real || cfg.NoPins {
		b.pins = &pins{}
	} else if b.pins, err = openPins(cfg.PinDir); err != nil {
		b.closeSocket()
		return nil, err
	} else {
		b.startGrace()
	}
	if _, real := cfg.backend.(kernel); real {
		b.repairHidden(b.grace)
	}
	if _, real := cfg.backend.(kernel); real {
		b.makeSpare()
	}
	if k, real := cfg.backend.(kernel); real && k.binding.old {
		b.goDo(func() { _ = k.binding.guard() }) // the first program need not wait for it
	}
	b.inherit()
	b.goDo(b.acceptLoop)
	context.AfterFunc(ctx, b.Close)
	b.log.Infof("broker: listening on %s, pins in %q", cfg.Socket, b.pins.dir)
	return b, nil
}

// Close ends the broker and takes away everything it made: programs, pins, mount and socket. Engines are asked to hand their connections
// to the kernel first; programs go on there. A connection that was not handed over is reset.
func (b *Broker) Close() {
	b.mu.Lock()
	if b.drains {
		b.mu.Unlock()
		<-b.ended
		return
	}
	b.drains = true
	b.mu.Unlock()
	defer close(b.ended)
	b.drain()
	b.mu.Lock()
	b.closed = true
	close(b.stopping)
	clients, doors := keys(b.clients), keys(b.doors)
	b.mu.Unlock()
	b.closeSocket()
	for _, d := range doors {
		d.ch.close()
	}
	for _, c := range clients {
		b.drop(c, "broker stops")
	}
	b.disinherit()
	b.wg.Wait()
	b.mu.Lock()
	b.endMirrors(nil)
	b.forgetDead()
	b.dropHeld(func(*heldOrphan) bool { return true })
	for _, s := range b.spaces {
		s.close()
	}
	b.spaces = map[uint64]*space{}
	b.dropSpare()
	b.mu.Unlock()
	if err := b.pins.close(); err != nil {
		b.log.Errorf("broker: %v", err)
	}
	b.log.Infof("broker: stopped")
}

// drain takes all queues back, in as far as their owners give them up in time.
func (b *Broker) drain() {
	until := time.Now().Add(b.cfg.YieldTimeout + 100*time.Millisecond)
	for left := true; left && time.Now().Before(until); {
		left = false
		b.mu.Lock()
		for _, s := range b.spaces {
			s.reconcile()
			for _, d := range s.all() {
				left = left || len(d.owners()) > 0
			}
		}
		b.mu.Unlock()
		if left {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// goDo runs f beside, and makes Close wait for it.
func (b *Broker) goDo(f func()) {
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		f()
	}()
}

// after runs f under the lock later, unless the broker stopped by then.
func (b *Broker) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.closed {
			f()
		}
	})
}

// step is where a test may kill the broker.
func (b *Broker) step(what string) {
	if b.cfg.Step != nil {
		b.cfg.Step(what)
	}
}

func keys[K comparable](m map[K]bool) []K {
	r := make([]K, 0, len(m))
	for k := range m {
		r = append(r, k)
	}
	return r
}

// refuse is an error whose text is meant for the program's log.
func refuse(format string, args ...any) error { return fmt.Errorf(format, args...) }

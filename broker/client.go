package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
)

// client is one process and its lease. All fields below ch belong to the broker's lock.
type client struct {
	b  *Broker
	ch *channel

	gone    bool
	pid     int
	uid     uint32
	gid     uint32
	pidfd   *os.File
	program string
	token   string
	frames  int
	space   *space // the process's network namespace, once it was needed

	lease      uint64
	umem       *os.File
	mapped     efvi.Memory // while its first queues are opened
	state      *os.File
	stateMap   *proto.StateMap
	sentMem    bool
	listenedAt time.Time            // when it showed its last listener
	listeners  map[uint64]*listener // by socket cookie
	past       map[uint64]*listener // left, and without connections
	ports      map[netip.AddrPort]bool
	flows      map[steer.Tuple]*device
	leased     map[netip.AddrPort]*device // ports of connections to come
	blocks     int                        // of ports that an earlier broker leased, and that it has yet to show
	asks       map[uint64]*ask
	collect    *[]offer    // where offers go while a grant is being made
	resting    *time.Timer // until its queues are asked back: it has closed its last listener
	orphans    int         // waiting for it to take
	stalled    time.Time   // when it last said that it does not accept what waits for it
	rescues    map[steer.Tuple]bool
	then       []func() // what is to be done when the program has gone on with its answer; its reader's
	syns       int      // given to the kernel since synsSince
	synsSince  time.Time
	looks      bool                // is a tool's: asked for a mirror
	tells      bool                // answers "whose"
	keepers    bool                // takes connections out of keepers
	releases   bool                // gives leased ports back on request
	refused    map[proto.Op]string // why, of the last request of a kind
}

// ask is an event that waits for its answer.
type ask struct {
	done  func(p *proto.Packet, err error) // once, without the lock
	timer *time.Timer
}

var (
	errGone    = errors.New("the process is gone")
	errTimeout = errors.New("no answer in time")
	errStops   = errors.New("the broker is about to stop")
)

func newClient(b *Broker, ch *channel) *client {
	return &client{
		b: b, ch: ch, listeners: map[uint64]*listener{}, past: map[uint64]*listener{}, ports: map[netip.AddrPort]bool{},
		flows: map[steer.Tuple]*device{}, leased: map[netip.AddrPort]*device{}, asks: map[uint64]*ask{},
		rescues: map[steer.Tuple]bool{},
	}
}

func (c *client) String() string {
	if c.program == "" {
		return fmt.Sprintf("pid %d", c.pid)
	}
	return fmt.Sprintf("%s[%d]", c.program, c.pid)
}

// nextMove is how long the next one is waited for without sleep: to be woken takes as long as to serve it.
const nextMove = 300 * time.Microsecond

// serve reads the client's messages until its end.
func (b *Broker) serve(c *client) {
	hello := time.AfterFunc(b.cfg.HelloTimeout, c.ch.close)
	err := b.readHello(c)
	hello.Stop()
	if err != nil {
		b.log.Debugf("broker: channel refused: %v", err)
		b.drop(c, "hello failed")
		return
	}
	buf := make([]byte, proto.MaxMessage)
	awake := time.Duration(0)
	for {
		p, err := c.ch.read(buf, awake, c.later)
		if err != nil {
			c.later()
			why := "channel closed"
			if !errors.Is(err, proto.ErrClosed) {
				why = err.Error()
			}
			b.drop(c, why)
			return
		}
		if awake = 0; p.Op == proto.OpTakeover || p.Op == proto.OpHandover { // a program's connections come one by one
			awake = nextMove
		}
		if p.Op != proto.OpTakeover || len(c.then) > proto.MaxHandover { // a connection that goes back waits for what is then
			c.later()
		}
		b.handle(c, p)
		p.CloseFDs()
	}
}

// handle serves one request, or takes one answer.
func (b *Broker) handle(c *client, p *proto.Packet) {
	if p.Op == proto.OpReply {
		b.answered(c, p)
		return
	}
	op, ok := ops[p.Op]
	if !ok {
		b.reply(c, p, nil, refuse("unknown request %.20q", string(p.Op)))
		return
	}
	body, fds, err := op(b, c, p)
	b.heard(c, p.Op, err)
	p.CloseFDs() // before the answer: a listener that the program closes then is to be closed
	b.reply(c, p, body, err, fds...)
	closeAll(fds)
}

// later does what was to wait until the program, which has its answer, has gone on.
func (c *client) later() {
	for _, f := range c.then {
		f()
	}
	c.then = nil
}

// reply answers a request; fds stay the caller's.
func (b *Broker) reply(c *client, p *proto.Packet, body any, err error, fds ...int) {
	env := proto.Envelope{ID: p.ID, Op: proto.OpReply}
	if err != nil {
		env.Error = err.Error()
		body = nil
		b.log.Infof("broker: %v: %s refused: %v", c, p.Op, err)
	}
	if err := c.ch.send(env, body, fds...); err != nil {
		b.goDo(func() { b.drop(c, err.Error()) })
	}
}

// tell sends an event that wants no answer.
func (c *client) tell(op proto.Op, body any, fds ...int) {
	if err := c.ch.send(proto.Envelope{Op: op}, body, fds...); err != nil {
		c.ch.close() // its reader notices and drops it
	}
}

// ask sends an event and calls done with its answer, errGone, or errTimeout (limit 0: no limit). Needs the lock; done runs without.
func (c *client) ask(op proto.Op, body any, fds []int, limit time.Duration, done func(*proto.Packet, error)) {
	b := c.b
	id := b.events.Add(1)
	a := &ask{done: done}
	if c.gone {
		go done(nil, errGone)
		return
	}
	c.asks[id] = a
	if limit > 0 {
		a.timer = time.AfterFunc(limit, func() { c.settle(id, nil, errTimeout) })
	}
	if err := c.ch.send(proto.Envelope{ID: id, Op: op}, body, fds...); err != nil {
		c.ch.close()
	}
}

// settle ends an ask once.
func (c *client) settle(id uint64, p *proto.Packet, err error) {
	c.b.mu.Lock()
	a := c.asks[id]
	delete(c.asks, id)
	c.b.mu.Unlock()
	if a == nil {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.done(p, err)
}

func (b *Broker) answered(c *client, p *proto.Packet) {
	if p.Error != "" {
		c.settle(p.ID, nil, fmt.Errorf("%v: %s", c, p.Error))
		return
	}
	c.settle(p.ID, p, nil)
}

// closeFiles releases what the client held; its end. The kernel takes its pages apart beside: that takes 10 ms, and seconds on a machine with ten times as
// much to do as it has processors, for which all other programs would wait.
func (c *client) closeFiles() {
	files, m := []*os.File{c.umem, c.state, c.pidfd}, c.stateMap
	c.umem, c.state, c.pidfd, c.stateMap = nil, nil, nil, nil
	c.b.goDo(func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
		if m != nil {
			m.Close()
		}
	})
	c.unmap()
}

// dupFile copies a descriptor into a file of our own.
func dupFile(fd int, name string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}

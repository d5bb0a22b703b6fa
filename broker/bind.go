package broker

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/guard"
	"github.com/sluice-net/sluice/broker/proto"
)

// Since Linux 6.4 a program maps the rings of sockets that are bound already. Before, it has to map them first: it gets its sockets unbound,
// and asks for the rest when it has mapped them ("bind"). Such a socket in its hands could take any queue, so it gets none unless
// package guard keeps it from that, or the administrator says so (--bind-late).

// binding is who is given sockets that are not bound yet.
type binding struct {
	asked   bool // everybody, by the administrator's wish
	old     bool // the kernel says that it is before 6.4; one that has the change all the same is found by trying
	once    sync.Once
	guarded error // why not
}

var errUnguarded = errors.New("this kernel wants queues mapped before they are bound (Linux 6.4 does not), and nothing would keep a program from taking others with its socket")

func newBinding(asked bool) *binding {
	return &binding{asked: asked, old: !afxdp.KernelAtLeast(6, 4)}
}

// guard sets the guard once, which takes a while.
func (w *binding) guard() error {
	w.once.Do(func() { w.guarded = guard.Attach() })
	return w.guarded
}

// open takes a queue, or prepares one.
func (w *binding) open(ifindex, queue int, mem *os.File, cfg afxdp.RingConfig) (*afxdp.Queue, error) {
	if !w.asked && !w.old {
		return afxdp.OpenQueue(ifindex, queue, mem, cfg)
	}
	unguarded := w.guard()
	if unguarded != nil && !w.asked {
		q, err := afxdp.OpenQueue(ifindex, queue, mem, cfg)
		if err != nil || q.CanMap() {
			return q, err
		}
		return nil, errors.Join(fmt.Errorf("%w: %w", errUnguarded, unguarded), q.Close())
	}
	q, err := afxdp.PrepareQueue(ifindex, queue, mem, cfg)
	if err == nil && unguarded == nil {
		if err = guard.Mark(q.FD()); err != nil {
			_ = q.Close()
		}
	}
	return q, err
}

// The last owner's socket may still be open in the kernel.
const (
	bindPatience = time.Second
	bindPause    = 2 * time.Millisecond
)

// opBind binds a queue that the client has mapped by now.
func opBind(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var ref proto.QueueRef
	if err := p.Into(&ref); err != nil {
		return nil, nil, refuse("bind: %v", err)
	}
	for end := time.Now().Add(bindPatience); ; {
		layout, err := b.bind(c, ref, time.Now().After(end))
		if !errors.Is(err, errOccupied) {
			return proto.Bound{Layout: layout}, nil, err
		}
		if !b.pause(bindPause) {
			return nil, nil, errStops
		}
	}
}

var errOccupied = errors.New("not yet")

// bind tries once; it is errOccupied if another attempt may do, and this was not to be the last.
func (b *Broker) bind(c *client, ref proto.QueueRef, last bool) (layout []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.gone || b.closed {
		return nil, errGone
	}
	q := c.queueOf(ref)
	if q == nil || !q.xsk.Layout().Unbound {
		return nil, refuse("bind: queue %d of interface %d does not wait for that", ref.Queue, ref.Ifindex)
	}
	err = q.xsk.Bind()
	if errors.Is(err, unix.EBUSY) && !last {
		return nil, errOccupied
	}
	d := c.space.devices[ref.Ifindex] // spurs are bound from the start
	if err != nil {
		d.vacate(q)
		d.opened(q, c, nil, err)
		return nil, refuse("bind: queue %d of %s: %v", ref.Queue, d.Name, err)
	}
	b.log.Debugf("broker: %s queue %d: bound, after %v mapped it", d.Name, ref.Queue, c)
	return encodeLayout(q.xsk), nil
}

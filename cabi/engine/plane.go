package engine

import (
	"fmt"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// plane is what a lease consists of: memory, queues, and the stack over them. It lives from the first grant to the moment the last listener
// and the last flow are gone.
type plane struct {
	lease          uint64
	memFD, stateFD int
	mem            efvi.Memory
	state          *proto.StateMap
	stack          *ustack.Stack
	random         func() uint64
	lanes          []*lane
	txMetadata     bool // the memory's first registration allows for metadata
	parts          bool // and its packets may lie in several frames
	counters       counters
	detailed       int64 // when all counters were published last
}

// granted takes in what came with a grant: memory and stack the first time, queues each time. It owns fds.
func (e *Engine) granted(now int64, g *proto.Grant, fds []int) error {
	for _, n := range g.Notes {
		e.info("%s", n)
	}
	if g.Memory {
		if len(fds) < 2 {
			closeAll(fds)
			return fmt.Errorf("grant came without its memory")
		}
		p, err := e.newPlane(g, fds[0], fds[1])
		if err != nil {
			closeAll(fds[2:])
			return err
		}
		e.plane, fds = p, fds[2:]
	}
	if e.plane == nil {
		closeAll(fds)
		return fmt.Errorf("grant without memory")
	}
	return e.addLanes(g.VIs, fds)
}

// secretOf is the one that came with a grant; nil: a broker that sends none.
func secretOf(g *proto.Grant) *tcp.Secret {
	if len(g.Secret) != len(tcp.Secret{}) {
		return nil
	}
	return (*tcp.Secret)(g.Secret)
}

// newPlane maps the memory and makes the stack. It owns both descriptors.
func (e *Engine) newPlane(g *proto.Grant, memFD, stateFD int) (*plane, error) {
	p := &plane{lease: g.Lease, memFD: -1, stateFD: -1}
	fail := func(err error) (*plane, error) {
		e.freePlane(p)
		return nil, err
	}
	var err error
	if p.memFD, err = e.lift(memFD); err != nil {
		_ = unix.Close(stateFD)
		return fail(err)
	}
	if p.stateFD, err = e.lift(stateFD); err != nil {
		return fail(err)
	}
	if p.mem, err = mapMemory(p.memFD); err != nil {
		return fail(err)
	}
	if p.state, err = proto.MapState(p.stateFD); err != nil {
		return fail(err)
	}
	if p.random, err = newRandom(); err != nil {
		return fail(err)
	}
	p.stack = ustack.New(ustack.Config{
		Pool:   pbuf.New(p.mem.Bytes, efvi.FrameSize),
		Rand:   p.random,
		Secret: secretOf(g),
		Params: e.boot.params(),
		Routes: router{e.routes},
		Sink:   sink{e},

		Registry: registry{e},

		AnswerWait: e.boot.answerWait(),
	})
	if err := p.counters.find(e, p.stack); err != nil {
		return fail(err)
	}
	return p, nil
}

// freePlane gives everything back; the stack must not be used after it.
func (e *Engine) freePlane(p *plane) {
	e.revokeAll()
	for len(p.lanes) > 0 {
		e.removeLane(p, p.lanes[0])
	}
	for _, fd := range []int{p.memFD, p.stateFD} {
		if fd >= 0 {
			e.drop(fd)
		}
	}
	if p.state != nil {
		_ = p.state.Close()
	}
	if p.mem.Bytes != nil {
		_ = afxdp.UnmapMemory(p.mem)
	}
}

// kick wakes the kernel for what is in the transmit rings, when the C side will not do so soon.
func (e *Engine) kick() {
	if e.plane == nil {
		return
	}
	for _, l := range e.plane.lanes {
		_ = l.vi.Kick() // what the device can't take now, the next kick tries again
	}
}

func (p *plane) lane(ref proto.QueueRef) *lane {
	for _, l := range p.lanes {
		if l.ref == ref {
			return l
		}
	}
	return nil
}

// mapMemory maps a umem memfd without giving the descriptor to a finalizer.
func mapMemory(fd int) (efvi.Memory, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, fd)
	if err != nil {
		return efvi.Memory{}, fmt.Errorf("duplicate umem: %w", err)
	}
	f := os.NewFile(uintptr(dup), "umem")
	defer f.Close()
	return afxdp.MapMemory(f)
}

// newRandom is a source of unpredictable numbers, seeded by the kernel.
func newRandom() (func() uint64, error) {
	var seed [32]byte
	for at := 0; at < len(seed); {
		n, err := unix.Getrandom(seed[at:], 0)
		if err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("getrandom: %w", err)
		}
		at += max(n, 0)
	}
	c := rand.NewChaCha8(seed)
	return c.Uint64, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

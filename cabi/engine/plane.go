package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/usock"
)

// plane is what a lease consists of: memory, queues, and the stack over them. It lives from the first grant to the moment the last listener
// and the last flow are gone.
type plane struct {
	lease          uint64
	memFD, stateFD int
	mem            efvi.Memory
	state          *proto.StateMap
	stack          *ustack.Stack
	lanes          []*lane
	txMetadata     bool // the memory's first registration allows for metadata
	parts          bool // and its packets may lie in several frames
	counters       counters
	detailed       int64 // when all counters were published last
}

// inherit fills in what a queue has from the socket whose registration of the memory it shares: metadata of packets, and packets in
// several frames.
func (p *plane) inherit(l *afxdp.Layout) {
	if l.Shared {
		l.TxMetadata, l.Parts = p.txMetadata, p.parts
		return
	}
	first := len(p.lanes) == 0
	p.txMetadata, p.parts = l.TxMetadata && (p.txMetadata || first), l.Parts && (p.parts || first)
}

// lane is one leased queue.
type lane struct {
	vi   *afxdp.VI
	told proto.VI // as granted, to be presented to another broker
	ref  proto.QueueRef
	ring int // in Shared.Ring
	tso  int // the socket that the VI sends bursts by; 0: none
}

// carries tells whether a connection's packets came in by this queue last.
func (l *lane) carries(s *usock.Socket) bool {
	i, q := s.LastRX()
	return i == l.ref.Ifindex && q == l.ref.Queue
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
	random, err := newRandom()
	if err != nil {
		return fail(err)
	}
	p.stack = ustack.New(ustack.Config{
		Pool:   pbuf.New(p.mem.Bytes, efvi.FrameSize),
		Rand:   random,
		Params: e.boot.params(),
		Routes: router{e.routes},
		Sink:   sink{e},

		Registry: registry{e},
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

// addLanes maps the queues that the descriptors are of. A queue that cannot be mapped is left out, noted.
func (e *Engine) addLanes(vis []proto.VI, fds []int) error {
	if len(vis) != len(fds) {
		closeAll(fds)
		return fmt.Errorf("%d queues came with %d descriptors", len(vis), len(fds))
	}
	for i, v := range vis {
		if err := e.addLane(v, fds[i]); err != nil {
			e.refuse(fmt.Sprintf("queue %d of interface %d: %v", v.Queue, v.Ifindex, err))
		}
	}
	return nil
}

func (e *Engine) addLane(told proto.VI, fd int) error {
	e.revokeAll()
	fd, err := e.lift(fd)
	if err != nil {
		return err
	}
	l := &lane{told: told, ref: proto.QueueRef{Ifindex: told.Ifindex, Queue: told.Queue}}
	var info efvi.Info
	var layout afxdp.Layout
	if err = json.Unmarshal(told.Info, &info); err == nil {
		err = json.Unmarshal(told.Layout, &layout)
	}
	if err == nil {
		l.ring, err = e.freeRing()
	}
	if err == nil {
		e.plane.inherit(&layout)
		info.TxChecksum = e.boot.fast("checksum")
		l.vi, err = afxdp.Map(fd, layout, e.plane.mem, info)
	}
	if err == nil && !e.boot.Watch {
		if err = e.watch(fd); err != nil {
			_ = l.vi.Close()
			e.sh.disown(fd)
			return err
		}
	}
	if err != nil {
		e.drop(fd)
		return err
	}
	e.takeBursts(l, info)
	e.plane.stack.AddVI(l.vi)
	e.plane.lanes = append(e.plane.lanes, l)
	if len(e.taps) > 0 {
		e.tapLane(l)
	}
	e.sh.setRing(l.ring, l.vi, e.plane.mem.Bytes)
	l.vi.LeaveKicks(e.boot.Kicks)
	e.debug("queue %d of %s: native XDP %v, zero copy %v", info.Queue, info.Device, info.Native, l.vi.Info().ZeroCopy)
	return nil
}

// freeRing finds a place in the shared list of rings.
func (e *Engine) freeRing() (int, error) {
	var used [maxRings]bool
	for _, l := range e.plane.lanes {
		used[l.ring] = true
	}
	for i, u := range used {
		if !u {
			return i, nil
		}
	}
	return 0, fmt.Errorf("more than %d queues", maxRings)
}

// removeLane gives one queue up. What is still in its rings is lost, as on a wire.
func (e *Engine) removeLane(p *plane, l *lane) {
	e.revokeAll()
	for i := range p.lanes {
		if p.lanes[i] == l {
			p.lanes = append(p.lanes[:i], p.lanes[i+1:]...)
			break
		}
	}
	_ = l.vi.Kick()
	e.sh.clearRing(l.ring)
	fd := l.vi.FD()
	if !e.boot.Watch {
		e.unwatch(fd)
	}
	e.sh.disown(fd)
	if l.tso > 0 {
		e.sh.disown(l.tso)
	}
	e.limbo.add(l.ref, p.stack.RemoveVI(l.ref.Ifindex, l.ref.Queue))
	if err := l.vi.Close(); err != nil {
		e.debug("%v", err)
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

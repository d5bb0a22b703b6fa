package engine

import (
	"encoding/json"
	"fmt"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/usock"
)

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
	l, info, unbound, err := e.mapLane(told, fd)
	if err != nil {
		e.drop(fd)
		return err
	}
	if unbound {
		err = e.bindLane(l)
	}
	if err == nil && !e.boot.Watch {
		err = e.watch(fd)
	}
	if err != nil {
		_ = l.vi.Close()
		e.sh.disown(fd)
		return err
	}
	e.takeBursts(l, info)
	e.plane.stack.AddVI(l.vi)
	e.plane.lanes = append(e.plane.lanes, l)
	e.relink()
	if len(e.taps) > 0 {
		e.tapLane(l)
	}
	e.sh.setRing(l.ring, l.vi, e.plane.mem.Bytes)
	l.vi.LeaveKicks(e.boot.Kicks)
	e.debug("queue %d of %s: native XDP %v, zero copy %v", info.Queue, info.Device, info.Native, l.vi.Info().ZeroCopy)
	return nil
}

// relink follows the link addresses of the devices: they may be given another one.
func (e *Engine) relink() {
	if e.plane == nil {
		return
	}
	for _, l := range e.plane.lanes {
		if link, err := e.routes.Link(l.ref.Ifindex); err == nil && link.MAC != [6]byte{} {
			e.plane.stack.SetMAC(l.ref.Ifindex, link.MAC)
		}
	}
}

// mapLane maps the rings of a queue, and tells whether it is bound only now.
func (e *Engine) mapLane(told proto.VI, fd int) (l *lane, info efvi.Info, unbound bool, err error) {
	l = &lane{told: told, ref: proto.QueueRef{Ifindex: told.Ifindex, Queue: told.Queue}}
	var layout afxdp.Layout
	if err = json.Unmarshal(told.Info, &info); err == nil {
		err = json.Unmarshal(told.Layout, &layout)
	}
	if err == nil {
		l.ring, err = e.freeRing()
	}
	if err != nil {
		return nil, info, false, err
	}
	if !layout.Unbound { // else it is not known yet
		e.plane.inherit(&layout)
	}
	info.TxChecksum = e.boot.fast("checksum") && !info.OwnChecksum
	l.vi, err = afxdp.Map(fd, layout, e.plane.mem, info)
	return l, info, layout.Unbound, err
}

// bindLane has the broker bind a queue that could be mapped only before that.
func (e *Engine) bindLane(l *lane) error {
	var b proto.Bound
	var layout afxdp.Layout
	_, err := e.call(nanotime(), proto.OpBind, l.ref, nil, &b)
	if err == nil {
		err = json.Unmarshal(b.Layout, &layout)
	}
	if err != nil {
		return err
	}
	e.plane.inherit(&layout)
	l.vi.Bound(layout)
	l.told.Layout = b.Layout
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

package engine

import (
	"net/netip"
	"sync/atomic"

	"github.com/sluice-net/sluice/fallback/routes"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/usock"
)

// router is fallback/routes as the stack wants it.
type router struct{ r *routes.Router }

func (a router) Route(dst, src netip.Addr) (ustack.Hop, error) {
	h, err := a.r.Route(dst, src)
	return ustack.Hop(h), err
}
func (a router) Resolve(ifindex int, next netip.Addr) { a.r.Resolve(ifindex, next) }
func (a router) Generation() uint64                   { return a.r.Generation() }

// sink hears from the stack.
type sink struct{ e *Engine }

// Ready copies readiness to where C reads it.
func (k sink) Ready(s *usock.Socket) {
	if s.Tag >= 0 {
		k.e.update(s.Tag)
	}
}

// update makes the word of handle h say what its socket says, and lists the handle if that is news.
func (e *Engine) update(h int32) {
	o := e.tab.at(h)
	if o == nil || o.sock == nil {
		return
	}
	w := &e.sh.Words[h]
	ready, in, out := o.sock.Ready(), o.baseIn+o.sock.EdgeIn(), o.baseOut+o.sock.EdgeOut()
	if o.lis != nil {
		in += o.lis.arrived
		if len(o.lis.queue) > 0 {
			ready |= usock.PollIn | usock.PollRdNorm
		}
		o.lis.waits(e, ready&usock.PollIn != 0)
	}
	if w.Ready.Load() == ready && w.EdgeIn.Load() == in && w.EdgeOut.Load() == out {
		return
	}
	store(&w.EdgeIn, in)
	store(&w.EdgeOut, out)
	store(&w.Ready, ready)
	e.sh.changed(h)
}

// store leaves a word alone that says so already: a store that C sees in order is a locked instruction.
func store(w *atomic.Uint32, v uint32) {
	if w.Load() != v {
		w.Store(v)
	}
}

// moved shows that the connection of handle h is kernel descriptor fd now, or lost (fd < 0), and wakes all who wait for it.
func (e *Engine) moved(h int32, fd int) {
	w := &e.sh.Words[h]
	v := uint32(Gone)
	if fd >= 0 {
		v = uint32(fd) + 1
	}
	w.Moved.Store(v)
	w.EdgeIn.Add(1)
	w.EdgeOut.Add(1)
	w.Ready.Store(usock.PollIn | usock.PollRdNorm | usock.PollOut | usock.PollWrNorm)
	e.sh.changed(h)
	e.revoke(h)
	e.tab.objects[h].sock = nil
}

package engine

import (
	"slices"
	"time"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// leaving is somebody's wish that connections go to the kernel (`sluice detach`), or ours (room.go). A few go at a time, a turn of the stack lies between: each stands
// still until the last of those that go with it has arrived, and the others' packets wait as long.
type leaving struct {
	event *proto.Packet         // nil: nobody asked
	flows map[tcp.Flow]struct{} // that were not tried yet
	moves proto.Moves
}

// settled is how long after its attach a connection goes back at the earliest: before, the broker would wait for what is on its way to the kernel's old
// socket (2 ms, and until a thread has run on each processor), and the whole stack with it.
const settled = int64(5 * time.Millisecond)

// newcomer is a connection that came from the kernel.
type newcomer struct {
	flow tcp.Flow
	at   int64
}

// came notes one, and forgets those that have settled.
func (e *Engine) came(now int64, f tcp.Flow) {
	e.newcomers = append(slices.DeleteFunc(e.newcomers, func(n newcomer) bool { return now-n.at >= settled }), newcomer{f, now})
}

// isNew tells whether a connection has come only just now.
func (e *Engine) isNew(now int64, f tcp.Flow) bool {
	return slices.ContainsFunc(e.newcomers, func(n newcomer) bool { return n.flow == f && now-n.at < settled })
}

// maxPacked is how many octets of queues go with one another. A megabyte takes about two milliseconds.
const maxPacked = 256 << 10

// detach begins with those that are there now.
func (e *Engine) detach(now int64, p *proto.Packet) error {
	var w proto.Which
	if err := p.Into(&w); err != nil {
		return err
	}
	e.evict(now, p, w)
	return nil
}

// evict has them leave; event, which may be nil, is answered then.
func (e *Engine) evict(now int64, event *proto.Packet, w proto.Which) {
	l := &leaving{event: event, flows: map[tcp.Flow]struct{}{}}
	if e.plane != nil {
		e.plane.stack.Each(func(s *usock.Socket) {
			if s.Conn() != nil && w.Covers(plain(s.Local()), plain(s.Remote())) && movable(s) {
				l.flows[s.Conn().Flow] = struct{}{}
			}
		})
	}
	e.leaving = append(e.leaving, l)
	if len(e.leaving) == 1 {
		e.detachSome(now)
	}
}

// detachSome moves the next few, and answers when there are no more.
func (e *Engine) detachSome(now int64) {
	l := e.leaving[0]
	socks := e.nextToLeave(now, l)
	since, moved := nanotime(), 0
	err := e.move(now, socks, func(s *usock.Socket, of *listener, fd int) {
		moved++
		e.settle(s, of, fd)
	})
	if err != nil && l.moves.Why == "" {
		l.moves.Why = err.Error()
	}
	l.moves.Moved, l.moves.Left = l.moves.Moved+moved, l.moves.Left+len(socks)-moved
	l.moves.Nanos += nanotime() - since
	if len(e.leaving) == 0 { // the broker went away
		return
	}
	if len(l.flows) == 0 {
		e.leaving = e.leaving[1:]
		if l.event != nil {
			e.answerWith(now, l.event, l.moves)
		}
	}
	e.leaveAt = now
	if len(socks) == 0 && len(l.flows) > 0 { // they have only just come
		e.leaveAt += settled / 5
	}
}

// nextToLeave takes some out of those that are wanted. What has ended meanwhile is wanted no more.
func (e *Engine) nextToLeave(now int64, l *leaving) (socks []*usock.Socket) {
	there, octets := map[tcp.Flow]struct{}{}, 0
	if e.plane != nil {
		e.plane.stack.Each(func(s *usock.Socket) {
			if s.Conn() == nil || !movable(s) {
				return
			}
			f := s.Conn().Flow
			if _, ok := l.flows[f]; !ok {
				return
			}
			q := s.Ahead() + s.OutQ()
			if len(socks) == proto.MaxHandover || len(socks) > 0 && octets+q > maxPacked || e.isNew(now, f) {
				there[f] = struct{}{}
				return
			}
			socks, octets = append(socks, s), octets+q
		})
	}
	l.flows = there
	return socks
}

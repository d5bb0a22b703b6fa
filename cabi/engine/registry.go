package engine

import (
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/cabi/hugepages"
	"github.com/sluice-net/sluice/ustack/usock"
)

// registry keeps the table of connections that the broker reads: whose peers to tell when this process is killed, and what
// `sluice ss` shows.
type registry struct{ e *Engine }

func (r registry) Opened(s *usock.Socket) {
	m := r.e.plane.state
	i, q := s.LastRX()
	s.Slot = m.Add(&proto.Entry{
		State: int(s.State()), Local: plain(s.Local()), Remote: plain(s.Remote()),
		Handle: s.Tag, Ifindex: int32(i), Queue: int32(q),
	})
	r.e.crowded(s)
}

// crowd is how many connections make huge pages below them worth while: they take 6 MB then, and their pages more places of a TLB than there are.
const crowd = 4096

// crowded asks for huge pages below a new connection, the first time below all.
func (e *Engine) crowded(s *usock.Socket) {
	switch {
	case e.plane.stack.Conns() < crowd:
		return
	case e.huge.Empty():
		e.plane.stack.Each(func(s *usock.Socket) { hugepages.Below(&e.huge, s) })
	}
	hugepages.Below(&e.huge, s)
}

func (r registry) Gone(s *usock.Socket) {
	r.e.plane.state.Remove(s.Slot)
	s.Slot = -1
	f, ok := s.Ref.(*flow)
	switch s.Ref = nil; {
	case !ok:
	case f.port != nil:
		r.e.unused(nanotime(), f.port)
	default:
		r.e.ended = append(r.e.ended, f)
	}
}

// record brings a connection's entry up to date.
func (e *Engine) record(s *usock.Socket) {
	if s.Slot < 0 || e.plane == nil {
		return
	}
	i, q := s.LastRX()
	e.plane.state.Set(s.Slot, &proto.Entry{
		State: int(s.State()), Local: plain(s.Local()), Remote: plain(s.Remote()),
		Handle: s.Tag, Ifindex: int32(i), Queue: int32(q), InQ: uint32(s.InQ()), OutQ: uint32(s.OutQ()),
	})
}

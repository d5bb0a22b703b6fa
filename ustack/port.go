package ustack

import (
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/pbuf"
)

// port is a VI and what the stack knows about the frames it has.
type port struct {
	vi   efvi.VI
	sums efvi.Summer // nil: checksums are ours
	info efvi.Info

	gatherer efvi.Gatherer // nil: a packet lies in one frame
	burster  efvi.Burster  // vi, if it takes bursts

	slot   int
	posted int  // frames in its receive ring
	ring   int  // how many it holds, once that is known
	queued bool // frames were given to Send since the last Flush
	parts  parts
}

// AddVI starts to use a virtual interface over the pool's memory.
func (s *Stack) AddVI(vi efvi.VI) {
	p := &port{info: vi.Info(), slot: -1, ring: s.pool.Len()}
	p.use(vi)
	for i, q := range s.ports {
		if q == nil && !s.limbo[i] {
			p.slot = i
			s.ports[i] = p
			break
		}
	}
	if p.slot < 0 {
		p.slot = len(s.ports)
		s.ports = append(s.ports, p)
		s.limbo = append(s.limbo, false)
	}
	s.leaveSums()
	s.portGen++
	if s.rx.owner == nil {
		s.rx.owner = make([]uint16, s.pool.Len())
	}
	s.count(+1)
	s.fill(p)
}

// use sends and receives by vi from now on, and finds out what it can do.
func (p *port) use(vi efvi.VI) {
	p.vi, p.sums, p.burster = vi, nil, nil
	if p.gatherer, _ = vi.(efvi.Gatherer); p.gatherer == nil {
		p.info.MTU = min(p.info.MTU, efvi.FrameSize-pbuf.Headroom)
	}
	if p.info.TxChecksum {
		p.sums, _ = vi.(efvi.Summer)
	}
	if b, ok := vi.(efvi.Burster); ok && p.info.MaxBurst > 0 && p.info.VLAN == 0 {
		p.burster = b
	}
}

// SwapVI puts another over the same queue in the place of a virtual interface, such as one that shows its packets to somebody.
func (s *Stack) SwapVI(ifindex, queue int, vi efvi.VI) {
	for _, p := range s.ports {
		if p != nil && p.info.Ifindex == ifindex && p.info.Queue == queue {
			p.use(vi)
		}
	}
}

// SetMAC tells that a device has another link address. What is sent to the one before, by who does not know yet, is not for us any more.
func (s *Stack) SetMAC(ifindex int, mac [6]byte) {
	for _, p := range s.ports {
		if p != nil && p.info.Ifindex == ifindex {
			p.info.MAC = mac
		}
	}
}

// RemoveVI stops using the virtual interface of a queue. The frames in its rings stay out of use until Reclaim is told of its place, which is
// returned (-1: no such interface): as long as another process holds the socket the device may still write to them.
func (s *Stack) RemoveVI(ifindex, queue int) (place int) {
	for i, p := range s.ports {
		if p == nil || p.info.Ifindex != ifindex || p.info.Queue != queue {
			continue
		}
		s.ports[i] = nil
		s.limbo[i] = true
		p.parts.drop()
		s.count(-1)
		s.table.each(func(e *endpoint) {
			if int(e.in) == p.slot+1 {
				e.in = 0
			}
		})
		s.hasRoom()
		s.leaveSums()
		s.portGen++
		return i
	}
	return -1
}

// count keeps the number of interfaces, and what follows for their receive rings.
func (s *Stack) count(by int) {
	s.nports += by
	s.ringShare = s.pool.Len() / 4 / max(s.nports, 1)
}

// leaveSums keeps data that is queued for sending from being summed if every device does that.
func (s *Stack) leaveSums() {
	leave := true
	for _, p := range s.ports {
		leave = leave && (p == nil || p.sums != nil)
	}
	s.pool.LeaveSums(leave)
}

// Reclaim takes back the frames of a removed interface that its device does not touch any more: those posted to be received into, and with
// sent those on their way out too, after which the place is free.
func (s *Stack) Reclaim(place int, sent bool) {
	for f, o := range s.rx.owner {
		if int(o) == place+1 && (sent || !s.pool.At(uint32(f)).InFlight) {
			s.giveBack(uint32(f))
		}
	}
	s.limbo[place] = !sent
	s.hasRoom()
}

// giveBack takes a frame back from a device.
func (s *Stack) giveBack(frame uint32) {
	b := s.pool.At(frame)
	s.rx.owner[frame] = 0
	b.InFlight = false
	b.Release()
}

// fill keeps the receive ring filled, from the reserve too: without frames to receive into, the ACKs that free frames
// could not come in. All rings together hold at most a quarter of the pool.
func (s *Stack) fill(p *port) {
	goal := min(s.ringShare, p.ring)
	if goal-p.posted < min(goal, len(s.rx.post))/2 {
		return // in batches
	}
	for want := goal - p.posted; want > 0; {
		n := 0
		for n < want && n < len(s.rx.post) {
			b := s.pool.GetToReceive()
			if b == nil {
				break
			}
			s.rx.post[n] = b.Index
			n++
		}
		took := s.post(p, s.rx.post[:n])
		want -= took
		if took < len(s.rx.post) {
			return
		}
	}
}

// post gives frames to a receive ring; those it has no room for go back to the pool.
func (s *Stack) post(p *port, frames []uint32) int {
	took := p.vi.Post(frames)
	p.posted += took
	for _, f := range frames[:took] {
		s.rx.owner[f] = uint16(p.slot + 1)
	}
	for _, f := range frames[took:] {
		s.pool.At(f).Release()
		p.ring = p.posted
	}
	return took
}

// portOf is where the last packet of e came in, nil: there is none.
func (s *Stack) portOf(e *endpoint) *port {
	if e.in == 0 {
		return nil
	}
	return s.ports[e.in-1]
}

// portFor is where to send what goes out of an interface: prefer if it belongs to it.
func (s *Stack) portFor(ifindex int, prefer *port) *port {
	if prefer != nil && prefer.info.Ifindex == ifindex && s.ports[prefer.slot] == prefer {
		return prefer
	}
	for _, p := range s.ports {
		if p != nil && p.info.Ifindex == ifindex {
			return p
		}
	}
	return nil
}

// flush kicks every device that was given frames, once.
func (s *Stack) flush() {
	s.endBurst() // without room the next turn tries again
	for _, p := range s.ports {
		if p != nil && p.queued {
			p.queued = p.vi.Flush() != nil // an error loses nothing: the next turn tries again
		}
	}
}

package broker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
)

// A connection that is taken from the kernel leaves its socket there for a moment, deaf. Packets that had passed the XDP program before it
// was told are still on their way to it; without the socket the kernel would answer them with a reset.
const (
	takenLife  = 20 * time.Millisecond
	takenLeast = 2 * time.Millisecond // before the connection may go back
	answered   = time.Millisecond     // the program has its answer by then: looking at each processor takes those that it waits for
)

var errLate = errors.New("who asked for it waits no longer")

// takenConn is such a socket.
type takenConn struct {
	fd      int // ours; -1 while it is being read
	since   time.Time
	drained chan struct{} // closed when every packet that met the XDP program before has come to its end
}

// opTakeover takes a connection of the client's from the kernel: its state is the reply.
func opTakeover(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	if len(p.FDs) != 1 {
		return nil, nil, refuse("takeover: needs one socket")
	}
	fd := p.FDs[0]
	b.mu.Lock()
	s, err := b.enter(c)
	b.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	t, err := tupleOf(fd, s)
	if err != nil {
		return nil, nil, err
	}
	if !b.mayHandOver(c, t.Local) {
		return nil, nil, refuse("takeover: %v is no port of this program's lease", t.Local)
	}
	if err := b.beginTake(c, s, t); err != nil {
		return nil, nil, err
	}
	body, mem, err := b.take(c, s, t, fd, p.Deadline())
	b.step("taken")
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		s.forgetTaken(t)
		return nil, nil, err
	}
	b.count.TakenOver++
	p.FDs = nil
	s.keepTaken(c, t, fd)
	if mem < 0 {
		return body, nil, nil
	}
	return body, []int{mem}, nil
}

// tupleOf is the connection of a socket of a namespace.
func tupleOf(fd int, s *space) (t steer.Tuple, err error) {
	if err := inspectTCP(fd, s); err != nil {
		return t, err
	}
	if t.Local, _, err = boundTo(fd); err != nil {
		return t, err
	}
	if t.Remote, err = peerOf(fd); err != nil {
		return t, err
	}
	return steer.Tuple{Local: unmap(t.Local), Remote: unmap(t.Remote)}, nil
}

// take reads the connection, which stays as a frozen socket. Its packets are led to the client as soon as it is frozen, and not before: if we die in
// between the client can go on with a socket that is frozen, and the kernel with one that is not, but nobody with packets that the other gets.
func (b *Broker) take(c *client, s *space, t steer.Tuple, fd int, late time.Time) (body any, mem int, err error) {
	st, err := repair.FromKernelBy(fd, func() error {
		b.step("frozen")
		return b.leadTaken(c, s, t)
	})
	if err != nil {
		return nil, -1, err
	}
	b.step("read")
	mem, err = writeQueues(st.RecvData, st.SendData)
	if err == nil && !late.IsZero() && time.Now().After(late) {
		if mem >= 0 {
			unix.Close(mem)
		}
		err = errLate
	}
	if err != nil {
		return nil, -1, fmt.Errorf("takeover: %w", errors.Join(err, st.Thaw(fd)))
	}
	return proto.Taken{Conn: proto.Queued{State: st, RecvLen: len(st.RecvData), SendOff: int64(len(st.RecvData)), SendLen: len(st.SendData)}}, mem, nil
}

// beginTake notes that the connection is the client's from now on.
func (b *Broker) beginTake(c *client, s *space, t steer.Tuple) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.taken[t] != nil {
		return refuse("takeover: %v -> %v has only just been taken", t.Local, t.Remote)
	}
	if !c.hasQueues() {
		return refuse("takeover: this program has no queue")
	}
	if s.taken == nil {
		s.taken = map[steer.Tuple]*takenConn{}
	}
	s.stir(t)
	s.taken[t] = &takenConn{fd: -1, since: time.Now(), drained: make(chan struct{})}
	return nil
}

// leadTaken leads its packets to the client.
func (b *Broker) leadTaken(c *client, s *space, t steer.Tuple) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range s.all() {
		if n, _ := d.owns(c); n > 0 {
			if err := d.setTaken(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// untake makes the entries what they were.
func (s *space) untake(t steer.Tuple) {
	for _, d := range s.devices {
		d.delConnect(t)
		for _, o := range d.banks() {
			if o.flows[t] != nil {
				d.note(o.setConnect(t))
			}
		}
	}
}

func (s *space) forgetTaken(t steer.Tuple) {
	delete(s.taken, t)
	s.untake(t)
}

// keepTaken keeps the frozen socket, fd, until nothing can be on its way to it any more.
func (s *space) keepTaken(c *client, t steer.Tuple, fd int) {
	k := s.taken[t]
	k.fd = fd
	s.refs++
	c.then = append(c.then, func() { // a timer wakes another thread
		s.b.after(answered, func() { s.b.afterPackets(k.drained) })
		s.b.after(takenLife, func() { s.endDrained(t, k) })
	})
}

// endDrained ends the frozen socket as soon as nothing can be on its way to it.
func (s *space) endDrained(t steer.Tuple, k *takenConn) {
	if s.taken[t] != k {
		return
	}
	select {
	case <-k.drained:
		s.endTaken(t)
	default:
		s.b.after(takenLeast, func() { s.endDrained(t, k) })
	}
}

// endTaken ends the frozen socket silently. One that connected by itself gives its port back on the way; the client needs it.
func (s *space) endTaken(t steer.Tuple) {
	k := s.taken[t]
	local, err := unix.Getsockname(k.fd)
	if err2 := repair.Discard(k.fd); err2 != nil {
		s.b.log.Infof("broker: %v", err2)
	}
	if bound, _, err2 := boundTo(k.fd); err == nil && err2 == nil && bound.Port() == 0 && s.flowHas(t) {
		if err := unix.Bind(k.fd, local); err != nil {
			s.b.log.Infof("broker: port of %v -> %v is not kept: %v", t.Local, t.Remote, err)
		}
	}
	unix.Close(k.fd)
	s.forgetTaken(t)
	s.put()
}

func (s *space) flowHas(t steer.Tuple) bool {
	for _, d := range s.all() {
		if d.flows[t] != nil {
			return true
		}
	}
	return false
}

// endTakenNow is for a connection that goes back to the kernel.
func (b *Broker) endTakenNow(s *space, t steer.Tuple) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := s.taken[t]
	if k == nil && slices.ContainsFunc(s.all(), func(d *device) bool { return d.adopted }) {
		s.untake(t) // the broker before may have died before it did
	}
	if k == nil || k.fd < 0 {
		return
	}
	b.mu.Unlock()
	select {
	case <-k.drained:
	case <-b.stopping:
	}
	time.Sleep(takenLeast - time.Since(k.since))
	b.mu.Lock()
	if s.taken[t] == k {
		s.endTaken(t)
	}
}

package broker

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
)

// maxQueued bounds the bytes of one connection's queues.
const maxQueued = 256 << 20

// coming is a connection on its way to the kernel.
type coming struct {
	b   *Broker
	s   *space
	t   steer.Tuple
	st  repair.State
	fd  int // -1: there is no socket, because of err
	err error
}

// opHandover makes kernel sockets of the client's connections, in the client's network namespace. If they may be sent ahead none lives before it is the
// client's: who dies in between takes none along.
func opHandover(b *Broker, c *client, p *proto.Packet) (any, []int, error) {
	var r proto.Handover
	if err := p.Into(&r); err != nil || len(r.Conns) == 0 || len(r.Conns) > proto.MaxHandover {
		return nil, nil, refuse("handover: needs 1 to %d connections", proto.MaxHandover)
	}
	b.mu.Lock()
	s, err := b.enter(c)
	b.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	h := proto.Handed{Errors: make([]string, len(r.Conns))}
	var fds []int
	for i := range r.Conns {
		fd, err := b.toKernel(c, s, &r.Conns[i], p, func(fd int) error {
			if !r.Ahead {
				return nil
			}
			return c.ahead(p, proto.Sockets{Conns: []int{i}}, fd)
		})
		if err != nil {
			h.Errors[i] = err.Error()
			b.log.Infof("broker: %v: %v -> %v not handed over: %v", c, r.Conns[i].State.Local, r.Conns[i].State.Remote, err)
			continue
		}
		fds = append(fds, fd)
	}
	if r.Ahead {
		closeAll(fds)
		return h, nil, nil
	}
	return h, fds, nil
}

// ahead sends the client part of an answer, and returns when it has it.
func (c *client) ahead(p *proto.Packet, body any, fds ...int) error {
	return c.ch.sendNow(proto.Envelope{ID: p.ID, Op: proto.OpSockets}, body, fds...)
}

// toKernel makes one kernel socket, owned by the client's user. frozen is shown it before it lives.
func (b *Broker) toKernel(c *client, s *space, q *proto.Queued, p *proto.Packet, frozen func(fd int) error) (int, error) {
	t := steer.Tuple{Local: unmap(q.State.Local), Remote: unmap(q.State.Remote)}
	b.mu.Lock()
	s.beginMove(t)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		s.endMove(t)
	}()
	st := q.State
	st.Deadline = p.Deadline()
	fd, err := b.fill(c, s, &st, q, p.FDs)
	if err != nil {
		return -1, err
	}
	b.step("filled")
	if err := frozen(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	b.step("sent")
	if err := st.Live(fd); err != nil {
		return -1, err
	}
	b.step("alive")
	b.mu.Lock()
	b.count.HandedOver++
	b.mu.Unlock()
	return fd, nil
}

// fill makes one that is frozen still.
func (b *Broker) fill(c *client, s *space, st *repair.State, q *proto.Queued, mem []int) (fd int, err error) {
	if !b.mayHandOver(c, st.Local) {
		return -1, refuse("%v is no port of this program", st.Local)
	}
	if st.RecvData, err = readQueue(mem, q.RecvOff, q.RecvLen); err != nil {
		return -1, err
	}
	if st.SendData, err = readQueue(mem, q.SendOff, q.SendLen); err != nil {
		return -1, err
	}
	b.endTakenNow(s, steer.Tuple{Local: unmap(st.Local), Remote: unmap(st.Remote)})
	fd, via := s.takeBlank(c, st)
	if fd >= 0 {
		err = st.Fill(fd, via)
	} else {
		err = netns.Visit(s.fd(), func() (err error) {
			if via, err = s.injector(); err == nil {
				fd, err = repair.NewBlank(st.Six())
			}
			if err == nil {
				b.own(fd, c.uid, c.gid)
				err = st.Fill(fd, via)
			}
			return err
		})
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// mayHandOver: a connection of a port the client has shown a socket of.
func (b *Broker) mayHandOver(c *client, local netip.AddrPort) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.ownsPort(local)
}

func (c *client) ownsPort(local netip.AddrPort) bool {
	local = unmap(local)
	if c.ports[local] || c.leased[local] != nil {
		return true
	}
	for _, any := range []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()} {
		if (any.Is6() || local.Addr().Is4()) && c.ports[netip.AddrPortFrom(any, local.Port())] {
			return true
		}
	}
	return false
}

// readQueue reads a queue's bytes from the memfd that came along.
func readQueue(mem []int, off int64, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if n < 0 || n > maxQueued || off < 0 || len(mem) != 1 {
		return nil, refuse("queue of %d bytes at %d", n, off)
	}
	if seals, err := unix.FcntlInt(uintptr(mem[0]), unix.F_GET_SEALS, 0); err != nil || seals < 0 {
		return nil, refuse("queues must come in a memfd")
	}
	b := make([]byte, n)
	for got := 0; got < n; {
		k, err := unix.Pread(mem[0], b[got:], off+int64(got))
		if err != nil {
			return nil, fmt.Errorf("read queue: %w", err)
		}
		if k == 0 {
			return nil, refuse("queue of %d bytes ends after %d", n, got)
		}
		got += k
	}
	return b, nil
}

// writeQueues puts queues into a memfd; -1: they are empty.
func writeQueues(parts ...[]byte) (int, error) {
	if !slices.ContainsFunc(parts, func(b []byte) bool { return len(b) > 0 }) {
		return -1, nil
	}
	fd, err := unix.MemfdCreate("sluice-queues", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("memfd for queues: %w", err)
	}
	off := int64(0)
	for _, b := range parts {
		for len(b) > 0 {
			n, err := unix.Pwrite(fd, b, off)
			if err != nil {
				unix.Close(fd)
				return -1, fmt.Errorf("write queue: %w", err)
			}
			b, off = b[n:], off+int64(n)
		}
	}
	return fd, nil
}

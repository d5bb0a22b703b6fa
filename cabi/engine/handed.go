package engine

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
)

// toKernel has the broker make kernel sockets of frozen connections, and tells of each the socket, or -1 and why it has none. What comes ahead of the
// answer tells by itself what became of it, when there is no answer; it is prepared while the broker brings it to life.
func (e *Engine) toKernel(now int64, p *parcel, prepare func(i, fd int)) (fds []int, errs []error, err error) {
	var handed proto.Handed
	fds, errs = make([]int, len(p.conns)), make([]error, len(p.conns))
	for i := range fds {
		fds[i] = -1
	}
	defer e.hush()()
	ahead := false
	got, err := e.callAhead(now, proto.OpHandover, proto.Handover{Conns: p.conns, Ahead: true}, p.fds(), &handed, func(a *proto.Packet) {
		ahead = true
		e.arrived(a, fds, prepare)
	})
	switch {
	case ahead:
		e.outcome(p, handed.Errors, fds, errs, err)
		return fds, errs, nil
	case err != nil:
		return nil, nil, err
	case len(handed.Errors) != len(p.conns):
		closeAll(got)
		return nil, nil, fmt.Errorf("the broker answered for %d of %d connections", len(handed.Errors), len(p.conns))
	}
	for i, why := range handed.Errors { // a broker of before
		if why != "" || len(got) == 0 {
			errs[i] = errors.New(why)
			continue
		}
		fds[i], got = got[0], got[1:]
		prepare(i, fds[i])
	}
	closeAll(got)
	return fds, errs, nil
}

// arrived puts the sockets that came ahead where they belong.
func (e *Engine) arrived(p *proto.Packet, fds []int, prepare func(i, fd int)) {
	defer p.CloseFDs()
	var some proto.Sockets
	if err := p.Into(&some); err != nil || len(some.Conns) != len(p.FDs) {
		e.debug("%d sockets for %d connections", len(p.FDs), len(some.Conns))
		return
	}
	for _, i := range some.Conns {
		if i < 0 || i >= len(fds) || fds[i] >= 0 {
			e.debug("there is no connection %d", i)
			return
		}
		fds[i], p.FDs = p.FDs[0], p.FDs[1:]
		prepare(i, fds[i])
	}
}

// outcome keeps the sockets that live, and ends the others. answers are the broker's, unless it gave none.
func (e *Engine) outcome(p *parcel, answers []string, fds []int, errs []error, none error) {
	answered := none == nil && len(answers) == len(fds)
	for i, fd := range fds {
		switch {
		case answered && answers[i] != "":
			errs[i] = errors.New(answers[i])
		case fd < 0:
			errs[i] = errors.Join(none, errors.New("no socket came"))
		case answered:
			continue
		default:
			alive, err := repair.Alive(fd)
			if alive {
				st := p.stateOf(i)
				if err := st.Finish(fd); err != nil {
					e.debug("%v", err) // there is no way back, and its program will see
				}
				continue
			}
			errs[i] = errors.Join(none, err)
		}
		if fd >= 0 {
			_ = repair.Discard(fd)
			_ = unix.Close(fd)
			fds[i] = -1
		}
	}
}

// stateOf is a connection as it was packed, with its queue for sending.
func (p *parcel) stateOf(i int) *repair.State {
	q := &p.conns[i]
	st := q.State
	st.SendData = make([]byte, q.SendLen)
	for got := 0; got < q.SendLen; {
		n, err := unix.Pread(p.fd, st.SendData[got:], q.SendOff+int64(got))
		if err != nil || n == 0 {
			break
		}
		got += n
	}
	return &st
}

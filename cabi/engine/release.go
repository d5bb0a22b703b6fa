package engine

import (
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// unlease gives back what the kernel would give to whoever binds: leased ports that no connection uses, and none waits on (TIME-WAIT). That is for no longer
// than idle ports are kept: the kernel's connections to several peers wait on one port, ours have one each, and would have all there are.
func (e *Engine) unlease(now int64, p *proto.Packet) error {
	var r proto.Release
	if err := p.Into(&r); err != nil {
		return err
	}
	waiting := e.inTimeWait()
	for _, b := range slices.Clone(e.ports.blocks) {
		e.shed(now, b, func(q *port) bool {
			waits := waiting[netip.AddrPortFrom(b.pool.local, q.number)] && now-q.ended < holdPorts
			return !q.inUse && !waits && (r.Port == 0 || q.number == r.Port)
		})
	}
	e.answer(now, p, "", nil)
	return nil
}

// inTimeWait are the local ends of connections in TIME-WAIT.
func (e *Engine) inTimeWait() map[netip.AddrPort]bool {
	m := map[netip.AddrPort]bool{}
	if e.plane != nil {
		for at := 0; at >= 0; {
			at = e.plane.stack.Host().Waits.Some(at, 4096, func(f tcp.Flow, _ tcp.State, _ int64) { m[plain(f.Local)] = true })
		}
	}
	return m
}

// shed gives some ports of a block back: it goes on with a keeper of the others.
func (e *Engine) shed(now int64, b *block, some func(*port) bool) {
	m := proto.Unports{Local: b.pool.local}
	left := 0
	for i := range b.ports {
		switch q := &b.ports[i]; {
		case q.gone:
		case some(q):
			m.Ports = append(m.Ports, q.number)
		default:
			left++
		}
	}
	switch {
	case len(m.Ports) == 0:
		return
	case left == 0:
		e.endBlock(now, b)
		return
	}
	fds, err := e.call(now, proto.OpUnports, m, []int{b.keeper}, nil)
	if err != nil || len(fds) != 1 {
		e.debug("ports stay on lease: %v", err)
		closeAll(fds)
		return
	}
	for i := range b.ports {
		if q := &b.ports[i]; slices.Contains(m.Ports, q.number) {
			q.gone = true
		}
	}
	b.pool.strike(func(q *port) bool { return q.gone })
	b.pool.leased -= len(m.Ports)
	e.drop(b.keeper)
	if b.keeper, err = e.lift(fds[0]); err != nil {
		b.closed = true // its ports are anybody's now
		e.ports.lookAt = now
	}
}

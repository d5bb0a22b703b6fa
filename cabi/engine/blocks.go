package engine

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// grow leases another block.
func (e *Engine) grow(now int64, p *pool) error {
	n := min(max(p.leased, firstBlock), lastBlock)
	if p.leased+n > maxLeased {
		return fmt.Errorf("%w: %d ports are leased", errRefused, p.leased)
	}
	socks, numbers, err := bindSome(p.local, n, e.boot.FDMin)
	if err != nil {
		return fmt.Errorf("%w: ports of %v: %w", errRefused, p.local, err)
	}
	var g proto.Grant
	fds, err := e.call(now, proto.OpPorts, proto.Ports{Devices: e.devices}, socks, &g)
	closeAll(socks)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	if len(fds) == 0 {
		return fmt.Errorf("%w: ports came without a keeper", errRefused)
	}
	b := &block{pool: p, keeper: -1, ports: make([]port, len(numbers)), ended: now}
	e.ports.blocks = append(e.ports.blocks, b)
	p.leased += len(numbers)
	for i, number := range numbers {
		b.ports[i] = port{number: number, block: b}
	}
	keeper, rest := fds[len(fds)-1], fds[:len(fds)-1]
	if b.keeper, err = e.lift(keeper); err == nil {
		err = e.granted(now, &g, rest)
	} else {
		closeAll(rest)
	}
	if err == nil && len(g.VIs) > 0 {
		err = e.readyNow(now)
	}
	if err != nil {
		b.closed = true
		e.endBlock(now, b)
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	for i := range b.ports {
		p.pushFresh(&b.ports[i])
	}
	e.ports.lookAt = earlier(e.ports.lookAt, now+holdPorts)
	return nil
}

// bindSome binds up to n kernel sockets, numbered from low on, to ports that the kernel would choose. If the process may open no more, half of those it
// got: the broker's answer brings descriptors, and one for which there is no room ends the channel, and with it all connections.
func bindSome(local netip.Addr, n, low int) (socks []int, numbers []uint16, err error) {
	fd, err := -1, error(unix.EADDRINUSE)
	defer func() {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}()
	for number := range hostPorts().toTry(n) {
		if fd < 0 {
			if fd, err = portSocket(local, low); err != nil {
				half := len(socks) / 2
				closeAll(socks[half:])
				socks, numbers = socks[:half], numbers[:half]
				break
			}
		}
		got, failed := bindPort(fd, local, number)
		if err = failed; err == nil {
			socks, numbers, fd = append(socks, fd), append(numbers, got), -1
		} else if number == 0 || !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EACCES) {
			break
		}
		if len(socks) == n {
			break
		}
	}
	if len(socks) > 0 {
		return socks, numbers, nil
	}
	return nil, nil, err
}

func portSocket(local netip.Addr, low int) (int, error) {
	family := unix.AF_INET6
	if local.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	return proto.Raise(fd, low), nil
}

// bindPort binds to a port, or to one of the kernel's choice if it is 0, and says which.
func bindPort(fd int, local netip.Addr, number uint16) (uint16, error) {
	err := unix.Bind(fd, sockaddrOf(netip.AddrPortFrom(local, number), !local.Is4()))
	if err != nil || number != 0 {
		return number, err
	}
	sa, err := unix.Getsockname(fd)
	at, _ := addrPort(sa)
	return at.Port(), err
}

// endBlock ends a block's lease. None of its ports is in use.
func (e *Engine) endBlock(now int64, b *block) {
	for i, o := range e.ports.blocks {
		if o == b {
			e.ports.blocks = append(e.ports.blocks[:i], e.ports.blocks[i+1:]...)
			break
		}
	}
	p := b.pool
	b.closed = true
	p.strike(func(q *port) bool { return q.block == b })
	m := proto.Unports{Local: p.local}
	for i := range b.ports {
		if q := &b.ports[i]; !q.gone {
			m.Ports = append(m.Ports, q.number)
		}
	}
	p.leased -= len(m.Ports)
	if p.leased == 0 {
		delete(e.ports.pools, p.local)
	}
	if b.keeper >= 0 {
		e.drop(b.keeper)
	}
	e.tell(now, proto.OpUnports, m)
}

// closeBlocks lets no connection begin on any leased port: a queue is gone, and an answer could come by it.
func (e *Engine) closeBlocks(now int64) {
	for _, b := range e.ports.blocks {
		b.closed = true
	}
	e.ports.lookAt = now
}

// lookAtPorts gives back what nobody needs.
func (e *Engine) lookAtPorts(now int64) {
	t := &e.ports
	if t.lookAt == 0 || now < t.lookAt {
		return
	}
	t.lookAt = 0
	for i := 0; i < len(t.blocks); {
		b := t.blocks[i]
		if b.inUse > 0 {
			i++
			continue
		}
		until := b.ended + holdBlock
		if t.inUse == 0 {
			until = min(until, max(t.ended, b.ended)+holdPorts)
		}
		if b.closed || b.spentSome() || now >= until {
			e.endBlock(now, b)
			continue
		}
		t.lookAt = earlier(t.lookAt, until)
		i++
	}
}

func (b *block) spentSome() bool {
	for i := range b.ports {
		if b.ports[i].spent {
			return true
		}
	}
	return false
}

// dropPorts forgets all blocks: the end of the lease.
func (e *Engine) dropPorts(now int64) {
	for len(e.ports.blocks) > 0 {
		e.endBlock(now, e.ports.blocks[0])
	}
	e.ports.lookAt = 0
	e.tell(now, proto.OpUnports, proto.Unports{}) // nothing keeps the queues any more
}

// showPorts presents the blocks to a new broker. One that it does not take is closed.
func (e *Engine) showPorts(now int64) error {
	for _, b := range e.ports.blocks {
		_, err := e.call(now, proto.OpKeep, nil, []int{b.keeper}, nil)
		if errors.Is(err, errNoBroker) {
			return err
		}
		if err != nil {
			e.info("%d ports of %v are lost with the old broker: %v", len(b.ports), b.pool.local, err)
			b.closed = true
			e.ports.lookAt = now
		}
	}
	return nil
}

package engine

import (
	"fmt"
	"slices"

	"github.com/sluice-net/sluice/broker/proto"
)

// maxShown is how many flows fit in one message, 128 octets each.
const maxShown = 400

// adopt presents to a new broker what this process holds. Without anything held it is done at once.
func (e *Engine) adopt(now int64) error {
	p := e.plane
	if p == nil {
		return nil
	}
	a := proto.Adopt{Lease: p.lease, Devices: e.devices}
	fds := []int{p.memFD, p.stateFD}
	for _, l := range p.lanes {
		a.VIs = append(a.VIs, l.told)
		fds = append(fds, l.vi.FD())
	}
	for _, l := range e.listens {
		if l.kfd >= 0 {
			a.Listeners++
			fds = append(fds, l.kfd)
		}
	}
	for _, f := range e.flows[:min(len(e.flows), maxShown)] {
		a.Flows = append(a.Flows, proto.Disconnect{Local: f.local, Remote: f.remote})
	}
	a.Blocks = len(e.ports.blocks)
	if len(e.flows) > maxShown {
		e.refuse("more connections than a new broker can be shown: some are reset")
	}
	if len(fds) > proto.MaxFDs {
		return fmt.Errorf("%d descriptors do not fit in one message", len(fds))
	}
	var g proto.Grant
	got, err := e.call(now, proto.OpAdopt, a, fds, &g)
	if err != nil {
		return err
	}
	closeAll(got)
	p.lease = g.Lease
	for _, n := range g.Notes {
		e.info("%s", n)
	}
	if err := e.showPorts(now); err != nil {
		return err
	}
	e.keep(now, g.VIs)
	return nil
}

// keep gives up the queues that the new broker does not list.
func (e *Engine) keep(now int64, listed []proto.VI) {
	for i := 0; i < len(e.plane.lanes); {
		l := e.plane.lanes[i]
		if slices.ContainsFunc(listed, func(v proto.VI) bool { return v.Ifindex == l.ref.Ifindex && v.Queue == l.ref.Queue }) {
			i++
			continue
		}
		e.info("queue %d of interface %d is lost with the old broker", l.ref.Queue, l.ref.Ifindex)
		e.moveAll(now, l.carries)
		if e.orphaned(now) { // the next one may list it
			return
		}
		e.removeLane(e.plane, l)
		e.closeBlocks(now)
	}
}

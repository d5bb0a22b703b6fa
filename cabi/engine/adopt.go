package engine

import (
	"fmt"

	"github.com/sluice-net/sluice/broker/proto"
)

// adopt presents to a new broker what this process holds. Without anything held it is done at once.
func (e *Engine) adopt(now int64) error {
	p := e.plane
	e.yields = nil // the old broker's
	if p == nil {
		return nil
	}
	a := proto.Adopt{Lease: p.lease, Devices: e.devices}
	fds := []int{p.memFD, p.stateFD}
	for _, l := range p.lanes {
		a.VIs = append(a.VIs, l.told)
		fds = append(fds, l.vi.FD())
	}
	for _, l := range e.listeners {
		if l.kfd >= 0 {
			a.Listeners++
			fds = append(fds, l.kfd)
		}
	}
	for _, f := range e.flows {
		if len(fds) == proto.MaxFDs {
			e.refuse("more connections than a new broker can be shown: some are reset")
			break
		}
		a.Flows = append(a.Flows, proto.Disconnect{Local: f.local, Remote: f.remote})
		fds = append(fds, f.kfd)
	}
	if len(fds) > proto.MaxFDs {
		return fmt.Errorf("%d descriptors do not fit in one message", len(fds))
	}
	var g proto.Grant
	got, err := e.call(now, proto.OpAdopt, a, fds, &g)
	if err != nil {
		return err
	}
	p.lease = g.Lease
	if err := e.addLanes(g.VIs, got); err != nil {
		return err
	}
	e.ready(now, 0)
	return nil
}

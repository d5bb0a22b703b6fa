package hidden

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/efvi"
)

// Aim leads what the filters match, of connections or local ports, to one of the hidden queues: the answers to what the queue's process
// connects to. Each rule looks at the local port at least, as what a wider one caught could be another process'. All are granted or none.
// The rules of Aim fill no more than half of the card's table, so that there is always one for a listener. Errors: those of Steer, ENOSPC.
func (h *Queues) Aim(specs []efvi.FilterSpec, queue int) error {
	if !slices.Contains(h.queues, queue) {
		return fmt.Errorf("queue %d of %s is not hidden: %w", queue, h.nic.Name, unix.EINVAL)
	}
	if err := h.room(len(specs)); err != nil {
		return err
	}
	foreign, err := h.foreign()
	if err != nil {
		return err
	}
	for i, s := range specs {
		if err := h.aim(s, target{queue: uint64(queue)}, foreign); err != nil {
			for _, done := range specs[:i] {
				err = errors.Join(err, h.Unsteer(done))
			}
			return err
		}
	}
	return nil
}

func (h *Queues) aim(s efvi.FilterSpec, to target, foreign []ethtool.Rule) error {
	if err := s.Check(); err != nil {
		return err
	}
	if s.Kind != efvi.FilterIPFull && s.Kind != efvi.FilterIPLocal || s.Local.Addr().IsUnspecified() || h.specs[s.String()] != nil {
		return fmt.Errorf("aim %v: %w", s, unix.EINVAL)
	}
	steps := slices.DeleteFunc(ladder(s, nil), func(step []ethtool.Match) bool { return !step[0].LooksAtPort() })
	if _, err := h.climb(s, steps, to, foreign); err != nil {
		return err
	}
	h.specs[s.String()].aimed = true
	return nil
}

// room tells whether so many more filters may be aimed.
func (h *Queues) room(more int) error {
	count, _, err := h.nic.RuleTable()
	if err != nil {
		return err
	}
	_, size, err := h.nic.Locations(count)
	if err != nil {
		return err
	}
	aimed := 0
	for _, t := range h.specs {
		if t.aimed {
			aimed++
		}
	}
	if size > 0 && aimed+more > size/2 { // 0: the driver does not say
		return fmt.Errorf("%s has %d rules, and %d of them lead to connections: %w", h.nic.Name, size, aimed, unix.ENOSPC)
	}
	return nil
}

// Led is the queue that a rule of before the queues were resumed leads a filter's packets to, if there is one.
func (h *Queues) Led(s efvi.FilterSpec) (queue int, ok bool) {
	for _, step := range ladder(s, nil) {
		if r := h.rules[step[0]]; r != nil && r.to.context == 0 && step[0].LooksAtPort() {
			return int(r.to.queue), true
		}
	}
	return 0, false
}

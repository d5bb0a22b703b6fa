package hidden

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/efvi"
)

// ErrConflict says that another rule steers some of the same packets elsewhere.
var ErrConflict = errors.New("another rule steers the same packets")

// shared is a rule in the device, and by how many filters it is wanted.
type shared struct {
	location uint32
	to       target
	users    int
}

// target is where a rule leads: to the queues of an RSS context, whose table's entries start from 0, or straight to one.
type target struct {
	queue   uint64
	context uint32
}

// taken is a filter that was granted.
type taken struct {
	matches []ethtool.Match
	users   int
	aimed   bool // by Aim
}

// Steer leads what a filter matches to the hidden queues. locals are the host's addresses, for cards that can't match a port on any
// address. It returns the rules that do it, which may catch more than the filter; the same filter may be asked for again, and is then to
// be given back as often. Errors: ErrConflict, the card's refusal of the widest rule, or that the journal could not be written.
func (h *Queues) Steer(s efvi.FilterSpec, locals []netip.Addr) (rules []string, err error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if t := h.specs[s.String()]; t != nil {
		if t.aimed {
			return nil, fmt.Errorf("%w: ours, %v of a connection", ErrConflict, s)
		}
		t.users++
		return names(t.matches), nil
	}
	foreign, err := h.foreign()
	if err != nil {
		return nil, err
	}
	return h.climb(s, ladder(s, locals), h.all(), foreign)
}

// all is the target of filters whose packets may come by any hidden queue.
func (h *Queues) all() target {
	if h.context == 0 {
		return target{queue: uint64(h.queues[0])}
	}
	return target{context: h.context}
}

// climb asks for one step after the other, until the card takes one.
func (h *Queues) climb(s efvi.FilterSpec, steps [][]ethtool.Match, to target, foreign []ethtool.Rule) ([]string, error) {
	var refused error
	for _, step := range steps {
		err := h.takeAll(step, to, foreign)
		if err == nil {
			h.specs[s.String()] = &taken{matches: step, users: 1}
			return names(step), nil
		}
		if !refusal(err) {
			return nil, err
		}
		refused = errors.Join(refused, err)
	}
	return nil, fmt.Errorf("%s takes no rule for %v: %w", h.nic.Name, s, refused)
}

// refusal: the card or another's rule is in the way of this rule, not of every one.
func refusal(err error) bool {
	for _, e := range []error{ErrConflict, unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSPC, unix.EEXIST, unix.ERANGE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Unsteer gives back a filter.
func (h *Queues) Unsteer(s efvi.FilterSpec) error {
	t := h.specs[s.String()]
	if t == nil {
		return fmt.Errorf("no rule for %v: %w", s, unix.ENOENT)
	}
	if t.users--; t.users > 0 {
		return nil
	}
	delete(h.specs, s.String())
	return h.dropAll(t.matches)
}

// Sweep deletes the rules that nobody asked for since the queues were resumed.
func (h *Queues) Sweep() (err error) {
	for m, r := range h.rules {
		if r.users == 0 {
			r.users = 1
			err = errors.Join(err, h.dropAll([]ethtool.Match{m}))
		}
	}
	return err
}

func (h *Queues) takeAll(step []ethtool.Match, to target, foreign []ethtool.Rule) error {
	for i, m := range step {
		if err := h.take(m, to, foreign); err != nil {
			return errors.Join(err, h.dropAll(step[:i]))
		}
	}
	return nil
}

func (h *Queues) take(m ethtool.Match, to target, foreign []ethtool.Rule) error {
	if r := h.rules[m]; r != nil && r.to == to {
		r.users++
		return nil
	}
	if err := h.clash(m, to, foreign); err != nil {
		return err
	}
	rule := to.rule(m)
	if err := h.journal.add(rule); err != nil {
		return err
	}
	at, err := h.nic.Insert(rule)
	if err != nil {
		return errors.Join(err, h.journal.drop(rule))
	}
	h.rules[m] = &shared{at, to, 1}
	return nil
}

// clash finds a rule that steers some of the same packets elsewhere. One of ours that nobody has asked for since the queues were resumed
// gives way.
func (h *Queues) clash(m ethtool.Match, to target, foreign []ethtool.Rule) error {
	for _, f := range foreign {
		if f.Overlaps(m) {
			return fmt.Errorf("%w: place %d, %v", ErrConflict, f.Location, f)
		}
	}
	for o, r := range h.rules {
		switch {
		case r.to == to || !o.Overlaps(m):
		case r.users > 0:
			return fmt.Errorf("%w: ours, %v", ErrConflict, r.to.rule(o))
		default:
			r.users = 1
			if err := h.dropAll([]ethtool.Match{o}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (to target) rule(m ethtool.Match) ethtool.Rule {
	return ethtool.Rule{Match: m, Location: ethtool.AnyLocation, Context: to.context, Queue: to.queue}
}

func (h *Queues) dropAll(ms []ethtool.Match) (err error) {
	for _, m := range ms {
		r := h.rules[m]
		if r.users--; r.users > 0 {
			continue
		}
		delete(h.rules, m)
		err = errors.Join(err, gone(h.nic.Delete(r.location)), h.journal.drop(r.to.rule(m)))
	}
	return err
}

// gone: what someone else deleted is deleted.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// foreign are the device's rules that are not ours.
func (h *Queues) foreign() ([]ethtool.Rule, error) {
	rules, err := h.nic.Rules()
	return slices.DeleteFunc(rules, func(r ethtool.Rule) bool {
		own := h.rules[r.Match]
		return own != nil && own.location == r.Location
	}), err
}

func names(ms []ethtool.Match) []string {
	var out []string
	for _, m := range ms {
		out = append(out, strings.TrimSpace(m.String()))
	}
	return out
}

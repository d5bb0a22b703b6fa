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

// ErrConflict says that a rule of someone else steers some of the same packets.
var ErrConflict = errors.New("a rule of someone else steers the same packets")

// shared is a rule in the device, and by how many filters it is wanted.
type shared struct {
	location uint32
	users    int
}

// taken is a filter that was granted.
type taken struct {
	matches []ethtool.Match
	users   int
}

// Steer leads what a filter matches to the hidden queues. locals are the host's addresses, for cards that can't match a port on any
// address. It returns the rules that do it, which may catch more than the filter; the same filter may be asked for again, and is then to
// be given back as often. Errors: ErrConflict, the card's refusal of the widest rule, or that the journal could not be written.
func (h *Queues) Steer(s efvi.FilterSpec, locals []netip.Addr) (rules []string, err error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if t := h.specs[s.String()]; t != nil {
		t.users++
		return names(t.matches), nil
	}
	foreign, err := h.foreign()
	if err != nil {
		return nil, err
	}
	var refused error
	for _, step := range ladder(s, locals) {
		err := h.takeAll(step, foreign)
		if err == nil {
			h.specs[s.String()] = &taken{step, 1}
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

func (h *Queues) takeAll(step []ethtool.Match, foreign []ethtool.Rule) error {
	for i, m := range step {
		if err := h.take(m, foreign); err != nil {
			return errors.Join(err, h.dropAll(step[:i]))
		}
	}
	return nil
}

func (h *Queues) take(m ethtool.Match, foreign []ethtool.Rule) error {
	if r := h.rules[m]; r != nil {
		r.users++
		return nil
	}
	for _, f := range foreign {
		if f.Overlaps(m) {
			return fmt.Errorf("%w: place %d, %v", ErrConflict, f.Location, f)
		}
	}
	rule := h.rule(m)
	if err := h.journal.add(rule); err != nil {
		return err
	}
	at, err := h.nic.Insert(rule)
	if err != nil {
		return errors.Join(err, h.journal.drop(rule))
	}
	h.rules[m] = &shared{at, 1}
	return nil
}

// rule is how a match leads to the hidden queues: by the context's table, whose entries start from 0, or straight.
func (h *Queues) rule(m ethtool.Match) ethtool.Rule {
	r := ethtool.Rule{Match: m, Location: ethtool.AnyLocation, Context: h.context}
	if h.context == 0 {
		r.Queue = uint64(h.queues[0])
	}
	return r
}

func (h *Queues) dropAll(ms []ethtool.Match) (err error) {
	for _, m := range ms {
		r := h.rules[m]
		if r.users--; r.users > 0 {
			continue
		}
		delete(h.rules, m)
		err = errors.Join(err, gone(h.nic.Delete(r.location)), h.journal.drop(h.rule(m)))
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

package hidden

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
)

// ErrUnsupported says that a device can't hide queues: it has no ntuple filters, or no RSS table that can be changed.
var ErrUnsupported = errors.New("the device can't hide queues")

// Queues are a device's hidden queues. A Queues belongs to one thread of control at a time.
type Queues struct {
	nic     ethtool.NIC
	queues  []int
	context uint32 // RSS context over the queues, 0 if there is one queue only
	rules   map[ethtool.Match]*shared
	specs   map[string]*taken
	journal *journal
}

// Take hides count of a device's receive queues: the last that no rule of others leads to. Over more than one an RSS context is laid; where
// the driver has no contexts it is one queue all the same. The journal's file is made at path, and is there until Release.
func Take(nic ethtool.NIC, count int, id Identity, path string) (*Queues, error) {
	rings, table, err := look(nic)
	if err != nil {
		return nil, err
	}
	foreign, err := nic.Rules()
	if err != nil {
		return nil, unsupported(err)
	}
	queues := choose(rings, count, foreign)
	if len(queues) == 0 {
		return nil, fmt.Errorf("%s: rules of others lead to every queue but the first: %w", nic.Name, unix.EBUSY)
	}
	h := &Queues{nic: nic, queues: queues, rules: map[ethtool.Match]*shared{}, specs: map[string]*taken{}}
	if err := h.begin(rings, table, id, path); err != nil {
		return nil, err
	}
	return h, nil
}

// Open takes hidden queues, or resumes with those that the journal at path tells of. A journal that does not fit the device as it is now is
// undone first.
func Open(nic ethtool.NIC, count int, id Identity, path string) (*Queues, error) {
	rec, err := readJournal(path)
	if errors.Is(err, os.ErrNotExist) {
		return Take(nic, count, id, path)
	}
	if err == nil {
		if h, err := resume(nic, rec, id, path); err == nil {
			return h, nil
		}
	}
	if err := Repair(path, nic.Call, func(of Identity) string {
		if of == id {
			return nic.Name
		}
		return ""
	}); err != nil {
		return nil, err
	}
	return Take(nic, count, id, path)
}

// resume goes on where another process ended. Its rules are nobody's until they are asked for again; Sweep deletes the rest.
func resume(nic ethtool.NIC, rec record, id Identity, path string) (*Queues, error) {
	h := &Queues{
		nic: nic, queues: rec.Hidden, context: rec.Context, journal: &journal{path, rec},
		rules: map[ethtool.Match]*shared{}, specs: map[string]*taken{},
	}
	s, err := nic.Spread(0)
	if err != nil || rec.Identity != id || !slices.Equal(s.Table, rec.After) || rec.ContextTable != nil && rec.Context == 0 {
		return nil, fmt.Errorf("journal %s does not fit %s", path, nic.Name)
	}
	h.journal.rec.Device = nic.Name
	there, err := nic.Rules()
	if err != nil {
		return nil, err
	}
	for _, text := range rec.Rules {
		r, err := decode(text)
		if err != nil {
			return nil, err
		}
		for _, t := range there {
			if t.Match == r.Match && t.Queue == r.Queue && t.Context == r.Context {
				h.rules[r.Match] = &shared{location: t.Location, to: target{r.Queue, r.Context}}
			}
		}
	}
	return h, nil
}

// look reads what there is to take from.
func look(nic ethtool.NIC) (rings int, table []uint32, err error) {
	if _, _, err := nic.RuleTable(); err != nil {
		return 0, nil, unsupported(err)
	}
	if rings, err = nic.Rings(); err != nil {
		return 0, nil, unsupported(err)
	}
	s, err := nic.Spread(0)
	if err != nil {
		return 0, nil, unsupported(err)
	}
	if rings < 2 || len(s.Table) == 0 {
		return 0, nil, fmt.Errorf("%s has %d receive queues and %d RSS entries: %w", nic.Name, rings, len(s.Table), ErrUnsupported)
	}
	return rings, s.Table, nil
}

func unsupported(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w (%w)", ErrUnsupported, err)
	}
	return err
}

// choose picks the last queues that rules of others do not lead to. The first queue is the kernel's always.
func choose(rings, count int, foreign []ethtool.Rule) []int {
	var out []int
	for q := rings - 1; q > 0 && len(out) < count; q-- {
		if !slices.ContainsFunc(foreign, func(r ethtool.Rule) bool { return r.Context == 0 && r.Queue == uint64(q) }) {
			out = append(out, q)
		}
	}
	slices.Sort(out)
	return out
}

// begin changes the device, after writing down what for.
func (h *Queues) begin(rings int, table []uint32, id Identity, path string) (err error) {
	context := over(h.queues, len(table))
	rec := record{Identity: id, Device: h.nic.Name, Rings: rings, Hidden: h.queues, Before: table, After: without(table, h.queues)}
	if rec.After == nil {
		return fmt.Errorf("%s: only queues that would be hidden have RSS entries: %w", h.nic.Name, unix.EBUSY)
	}
	if len(h.queues) > 1 {
		rec.ContextTable = context
	}
	if h.journal, err = newJournal(path, rec); err != nil {
		return err
	}
	if len(h.queues) > 1 {
		if h.context, err = h.nic.AddContext(context); err != nil {
			return h.giveUp(fmt.Errorf("%w", err), rings, table, id, path)
		}
		h.journal.rec.Context = h.context
		if err := h.journal.write(); err != nil {
			return errors.Join(err, h.Release())
		}
	}
	if err := h.nic.SetTable(0, h.journal.rec.After); err != nil {
		return errors.Join(unsupported(err), h.Release())
	}
	return nil
}

// giveUp is for a driver without contexts: one queue is hidden, the last.
func (h *Queues) giveUp(err error, rings int, table []uint32, id Identity, path string) error {
	h.context = 0
	if e := h.journal.remove(); e != nil {
		return e
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	h.queues = h.queues[len(h.queues)-1:]
	return h.begin(rings, table, id, path)
}

// Queues are the hidden ones, in order.
func (h *Queues) Queues() []int { return slices.Clone(h.queues) }

// Release deletes the rules and puts the RSS table back as it was. What someone else changed meanwhile is left as it is now, and told.
func (h *Queues) Release() error {
	err := undo(h.nic, h.journal.rec)
	h.rules, h.specs = map[ethtool.Match]*shared{}, map[string]*taken{}
	return errors.Join(err, h.journal.remove())
}

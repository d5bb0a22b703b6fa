package hidden

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sluice-net/sluice/afxdp/ethtool"
)

// maxContexts is how far Repair looks for a context whose number was not written down in time.
const maxContexts = 64

// Repair puts back what the journal at path says, and removes it. find returns the device's name if it is still there, and empty if not:
// then, or after a restart of the machine, there is nothing to put back. An error names what was left as it is.
func Repair(path string, call ethtool.Caller, find func(Identity) (name string)) error {
	rec, err := readJournal(path)
	if err != nil {
		return err
	}
	if rec.Device = find(rec.Identity); rec.Device != "" {
		err = undo(ethtool.NIC{Name: rec.Device, Call: call}, rec)
	}
	return errors.Join(err, os.Remove(path))
}

// undo takes back each change that is still there. It goes by what is in the device, not by what was meant: a journal is ahead of it.
func undo(nic ethtool.NIC, rec record) error {
	return errors.Join(undoRules(nic, rec), undoContext(nic, rec), undoTable(nic, rec))
}

// undoRules deletes rules that are in the journal, wherever the driver put them.
func undoRules(nic ethtool.NIC, rec record) (err error) {
	if len(rec.Rules) == 0 {
		return nil
	}
	var ours []ethtool.Rule
	for _, text := range rec.Rules {
		r, e := decode(text)
		if err = errors.Join(err, e); e == nil {
			ours = append(ours, r)
		}
	}
	rules, e := nic.Rules()
	err = errors.Join(err, e)
	for _, r := range rules {
		if slices.ContainsFunc(ours, func(o ethtool.Rule) bool { return o.Match == r.Match && o.Queue == r.Queue && o.Context == r.Context }) {
			err = errors.Join(err, gone(nic.Delete(r.Location)))
		}
	}
	return err
}

// undoContext deletes the RSS context. If its number was not written down it is the one with its table.
func undoContext(nic ethtool.NIC, rec record) error {
	if rec.ContextTable == nil {
		return nil
	}
	if rec.Context != 0 {
		return gone(nic.DeleteContext(rec.Context))
	}
	for id := uint32(1); id <= maxContexts; id++ {
		if s, err := nic.Spread(id); err == nil && slices.Equal(s.Table, rec.ContextTable) {
			return gone(nic.DeleteContext(id))
		}
	}
	return nil
}

// undoTable sets the RSS table as it was, unless it is not as it was set. What the driver chose by itself it shall choose by itself again:
// it then follows a change of the number of queues.
func undoTable(nic ethtool.NIC, rec record) error {
	now, err := nic.Spread(0)
	switch {
	case err != nil:
		return err
	case slices.Equal(now.Table, rec.Before):
		return nil
	case !slices.Equal(now.Table, rec.After):
		return fmt.Errorf("%s: the RSS table was changed by someone else and stays as it is", nic.Name)
	case !usual(rec.Before, rec.Rings):
		return nic.SetTable(0, rec.Before)
	}
	if err := nic.SetTable(0, nil); err != nil {
		return nic.SetTable(0, rec.Before)
	}
	if now, err = nic.Spread(0); err == nil && !slices.Equal(now.Table, rec.Before) {
		return nic.SetTable(0, rec.Before)
	}
	return err
}

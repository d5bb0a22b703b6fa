package hidden

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool"
)

// Identity tells the device of a journal from others that have its name later. A card forgets rules and table when the machine restarts.
type Identity struct {
	Boot    string `json:"boot"`    // /proc/sys/kernel/random/boot_id
	NetNS   uint64 `json:"netns"`   // inode of the network namespace
	Ifindex int    `json:"ifindex"` // of the device
}

// record is a journal's content: everything that has to be put back.
type record struct {
	Version int `json:"version"`
	Identity
	Device       string   `json:"device"`
	Rings        int      `json:"rings"`
	Hidden       []int    `json:"hidden"`
	Before       []uint32 `json:"before"`                 // the RSS table as it was
	After        []uint32 `json:"after"`                  // and as it was set
	ContextTable []uint32 `json:"contextTable,omitempty"` // of the RSS context that was added, if one was
	Context      uint32   `json:"context,omitempty"`      // its number; 0 if it wasn't known yet
	Rules        []string `json:"rules,omitempty"`        // struct ethtool_rxnfc, in hexadecimal; places are not known beforehand
}

const journalVersion = 1

// journal is a file that is written before a device is changed.
type journal struct {
	path string
	rec  record
}

func newJournal(path string, rec record) (*journal, error) {
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("journal %s: %w (repair first)", path, unix.EEXIST)
	}
	rec.Version = journalVersion
	j := &journal{path, rec}
	return j, j.write()
}

func readJournal(path string) (record, error) {
	var rec record
	text, err := os.ReadFile(path)
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		return rec, fmt.Errorf("journal %s: %w", path, err)
	}
	if rec.Version != journalVersion {
		return rec, fmt.Errorf("journal %s is of version %d, not %d", path, rec.Version, journalVersion)
	}
	return rec, nil
}

// write replaces the file as a whole. It does not wait for the disk: a machine that restarts has a card that forgot everything.
func (j *journal) write() error {
	text, err := json.MarshalIndent(j.rec, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(j.path), ".journal")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), j.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (j *journal) add(r ethtool.Rule) error {
	j.rec.Rules = append(j.rec.Rules, encode(r))
	return j.write()
}

func (j *journal) drop(r ethtool.Rule) error {
	if i := slices.Index(j.rec.Rules, encode(r)); i >= 0 {
		j.rec.Rules = slices.Delete(j.rec.Rules, i, i+1)
	}
	return j.write()
}

func (j *journal) remove() error { return os.Remove(j.path) }

func encode(r ethtool.Rule) string {
	b := make([]byte, ethtool.RuleSize)
	r.Encode(b)
	return hex.EncodeToString(b)
}

func decode(text string) (ethtool.Rule, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != ethtool.RuleSize {
		return ethtool.Rule{}, fmt.Errorf("journal: rule %.16q… is none", text)
	}
	return ethtool.Decode(b), nil
}

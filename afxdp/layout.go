package afxdp

import "github.com/sluice-net/sluice/efvi"

// Ring tells where in its mapping the parts of one ring lie, in bytes.
type Ring struct {
	Entries  uint32 `json:"entries"`
	Producer uint64 `json:"producer"`
	Consumer uint64 `json:"consumer"`
	Flags    uint64 `json:"flags"`
	Desc     uint64 `json:"desc"`
}

// Layout is what a process needs, beside the socket itself, to map the rings of a queue that
// another process opened.
type Layout struct {
	RX         Ring `json:"rx"`
	TX         Ring `json:"tx"`
	Fill       Ring `json:"fill"`
	Completion Ring `json:"completion"`
	ZeroCopy   bool `json:"zero_copy"`
	// TxMetadata: the memory was registered with room for metadata in front of packets. Shared: another socket registered it.
	TxMetadata bool `json:"tx_metadata,omitempty"`
	Shared     bool `json:"shared,omitempty"`
	// Parts: a packet may lie in several frames, both ways.
	Parts bool `json:"parts,omitempty"`
	// BusyPoll: the socket's calls poll the device.
	BusyPoll bool `json:"busy_poll,omitempty"`
	// Unbound: the socket takes no queue yet. What stands above from ZeroCopy on, but for TxMetadata, is known when it does: see VI.Bound.
	Unbound bool `json:"unbound,omitempty"`
}

// MaxMTU is the largest MTU whose packets the queue takes, in bytes.
func (l Layout) MaxMTU() int {
	if l.Parts {
		return MaxPartsMTU
	}
	return MaxMTU
}

// RingConfig is how a queue is opened. Every zero means the default.
type RingConfig struct {
	RX, TX, Fill, Completion uint32 // entries, powers of two; default 2048 each
	Copy                     bool   // do not try zero-copy
	Share                    int    // a bound XDP socket over the same memory, or 0; with Parts one that has them
	Parts                    bool   // longer packets come than a frame holds, whatever the MTU
	TxMetadata               bool   // every packet sent will have efvi.SumRoom bytes in front of it, within its frame
	Busy                     BusyPoll
	Mapped                   efvi.Memory // the memory, if the caller has it mapped: its pages need not be found again

	flags uint16 // in place of need-wakeup, for probes
}

const (
	defaultEntries = 2048
	maxEntries     = 1 << 20
)

func (c RingConfig) withDefaults() RingConfig {
	for _, n := range []*uint32{&c.RX, &c.TX, &c.Fill, &c.Completion} {
		if *n == 0 {
			*n = defaultEntries
		}
	}
	return c
}

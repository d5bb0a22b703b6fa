package afxdp

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
}

// RingConfig is how a queue is opened. Every zero means the default.
type RingConfig struct {
	RX, TX, Fill, Completion uint32 // entries, powers of two; default 2048 each
	Copy                     bool   // do not try zero-copy
	Share                    int    // a bound XDP socket over the same memory, or 0
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

package proto

// Mirror asks to be shown the packets of programs: of all, those to come too, or of process Pid. With a tap device beside it (root only) the broker
// writes all packets to that, until it is asked with Off.
type Mirror struct {
	Pid  int  `json:"pid,omitempty"`
	Snap int  `json:"snap,omitempty"` // bytes of each packet that are wanted; 0: all
	Size int  `json:"size,omitempty"` // bytes of ring for each program; 0: DefaultRing
	Off  bool `json:"off,omitempty"`  // end the device's
}

// Bounds of a ring.
const (
	DefaultRing = 8 << 20
	MaxRing     = 256 << 20
)

// Tap tells an engine to show its packets in a ring, or (Off) no longer.
type Tap struct {
	Mirror uint64 `json:"mirror"` // its name
	Off    bool   `json:"off,omitempty"`
}

// Ring tells who asked for a mirror where a program's packets come.
type Ring struct {
	Pid     int    `json:"pid"`
	Program string `json:"program"`
	NetNS   uint64 `json:"netns,omitempty"`
}

package proto

import "net/netip"

// Which names connections to be moved by hand: all of process Pid, or (Pid 0) one by its addresses.
type Which struct {
	Pid    int            `json:"pid,omitempty"`
	Local  netip.AddrPort `json:"local,omitzero"`
	Remote netip.AddrPort `json:"remote,omitzero"`
}

// Covers tells whether a connection of the process asked is meant.
func (w *Which) Covers(local, remote netip.AddrPort) bool {
	return w.Pid != 0 || w.Local == local && w.Remote == remote
}

// Moves tells what became of them.
type Moves struct {
	Moved int    `json:"moved"`
	Left  int    `json:"left,omitempty"` // stayed where they were
	Why   string `json:"why,omitempty"`  // the first of the reasons
	Nanos int64  `json:"nanos"`          // how long the connections stood still, summed
}

// Add sums two answers.
func (m *Moves) Add(o Moves) {
	m.Moved, m.Left, m.Nanos = m.Moved+o.Moved, m.Left+o.Left, m.Nanos+o.Nanos
	if m.Why == "" {
		m.Why = o.Why
	}
}

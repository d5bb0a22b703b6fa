package proto

import (
	"fmt"
	"net/netip"
	"sync/atomic"
)

// The state memfd, written by the engine, read by the broker at any time (also after the engine was killed in the middle of a
// write, so a reader checks what it reads):
//
//	0      magic, version, slots, used        4 × uint32, native order
//	64     counters                           256 × uint64: CounterNames, from 64 on DetailNames
//	4096   table                              slots × 64 bytes
//	       histories (history.go)             slots × 128 bytes
//
// used is the high-water mark: no slot at or above it was ever taken.
const (
	stateMagic    = 0x534c5354 // "SLST"
	stateCounters = 64
	stateTable    = 4096
	stateVersion  = 3
	stateSlot     = 64
	stateHistory  = 128

	// StateSlots is how many connections the table holds; those beyond get no RST if the program is killed.
	StateSlots = 131072
	// StateSize is the memfd's size in bytes; untouched pages cost nothing.
	StateSize = stateTable + StateSlots*(stateSlot+stateHistory)
)

// Counter indexes of the state memfd.
const (
	CountRxPackets = iota
	CountRxBytes
	CountTxPackets
	CountTxBytes
	CountRxDropped
	CountAccepted
	CountConnected
	CountHandedOver
	CountTakenOver
	CountRetransmits
	CountResetsSent
	CountResetsReceived
	CountBadPackets
	CountStrays
	FirstDetail = 64 // of DetailNames
	NumCounters = 256
)

// Entry is a live connection in the table. State is the kernel's number for it; 0 means a free slot.
type Entry struct {
	Slot          int // its number, for History
	State         int
	Local, Remote netip.AddrPort
	Handle        int32
	Ifindex       int32
	Queue         int32
	InQ, OutQ     uint32 // bytes
}

// slot is one entry's memory. state is stored last and cleared first, so a reader sees whole entries, or at worst a mixed one.
type slot struct {
	state          atomic.Uint32
	lport, rport   uint16
	laddr, raddr   [16]byte
	handle         int32
	ifindex, queue int32
	inq, outq      uint32
	_              uint32
}

// header is the first 64 bytes.
type header struct {
	magic, version, slots uint32
	used                  atomic.Uint32
	_                     [12]uint32
}

// StateMap is the memfd mapped. The engine's methods allocate nothing and belong to one thread at a time; the reader's may run beside.
type StateMap struct {
	mem      []byte
	head     *header
	counters *[NumCounters]atomic.Uint64
	slots    []slot
	free     []int32

	histories []history
}

// Count adds n to a counter.
func (m *StateMap) Count(i int, n uint64) { m.counters[i].Add(n) }

// SetCount sets a counter.
func (m *StateMap) SetCount(i int, v uint64) { m.counters[i].Store(v) }

// Counter reads one.
func (m *StateMap) Counter(i int) uint64 { return m.counters[i].Load() }

// Add takes a slot, or returns -1 if the table is full.
func (m *StateMap) Add(e *Entry) int32 {
	i := int32(-1)
	if n := len(m.free); n > 0 {
		i = m.free[n-1]
		m.free = m.free[:n-1]
	} else if u := m.head.used.Load(); u < uint32(len(m.slots)) {
		i = int32(u)
		m.head.used.Store(u + 1)
	}
	if i >= 0 {
		m.begin(i)
		m.Set(i, e)
	}
	return i
}

// Set rewrites a whole slot; -1 is ignored.
func (m *StateMap) Set(i int32, e *Entry) {
	if i < 0 {
		return
	}
	s := &m.slots[i]
	s.state.Store(0)
	s.laddr, s.raddr = e.Local.Addr().As16(), e.Remote.Addr().As16()
	s.lport, s.rport = e.Local.Port(), e.Remote.Port()
	s.handle, s.ifindex, s.queue = e.Handle, e.Ifindex, e.Queue
	s.inq, s.outq = e.InQ, e.OutQ
	s.state.Store(uint32(e.State))
}

// SetState changes a slot's TCP state (not to 0; see Remove).
func (m *StateMap) SetState(i int32, state int) {
	if i >= 0 {
		m.slots[i].state.Store(uint32(state))
	}
}

// Remove frees a slot; -1 is ignored.
func (m *StateMap) Remove(i int32) {
	if i >= 0 {
		m.slots[i].state.Store(0)
		m.free = append(m.free, i)
	}
}

// Each calls f for every taken slot until it returns false. IPv4 addresses come as such.
func (m *StateMap) Each(f func(Entry) bool) {
	used := min(int(m.head.used.Load()), len(m.slots))
	for i := range m.slots[:used] {
		if st := m.slots[i].state.Load(); st != 0 {
			e := m.entry(i, st)
			if m.slots[i].state.Load() == st && !f(e) {
				return
			}
		}
	}
}

// Ended calls f for every slot whose connection is gone, until it returns false: until another takes the slot, its history is there.
func (m *StateMap) Ended(f func(Entry) bool) {
	used := min(int(m.head.used.Load()), len(m.slots))
	for i := range m.slots[:used] {
		if m.slots[i].state.Load() == 0 && !f(m.entry(i, 0)) {
			return
		}
	}
}

func (m *StateMap) entry(i int, state uint32) Entry {
	s := &m.slots[i]
	return Entry{
		Slot: i, State: int(state), Handle: s.handle, Ifindex: s.ifindex, Queue: s.queue, InQ: s.inq, OutQ: s.outq,
		Local:  netip.AddrPortFrom(netip.AddrFrom16(s.laddr).Unmap(), s.lport),
		Remote: netip.AddrPortFrom(netip.AddrFrom16(s.raddr).Unmap(), s.rport),
	}
}

func (m *StateMap) check() error {
	if m.head.magic != stateMagic || m.head.version != stateVersion || m.head.slots != StateSlots {
		return fmt.Errorf("state memory: magic %#x, version %d, %d slots", m.head.magic, m.head.version, m.head.slots)
	}
	return nil
}

// CounterNames are the counters' names, by index.
var CounterNames = [...]string{
	CountRxPackets: "rx_packets", CountRxBytes: "rx_bytes", CountTxPackets: "tx_packets", CountTxBytes: "tx_bytes", CountRxDropped: "rx_dropped",
	CountAccepted: "accepted", CountConnected: "connected", CountHandedOver: "handed_over", CountTakenOver: "taken_over",
	CountRetransmits: "retransmits", CountResetsSent: "resets_sent", CountResetsReceived: "resets_received",
	CountBadPackets: "bad_packets", CountStrays: "strays",
}

package proto

import "net/netip"

// RecordVersion is that of Record's layout. It comes with the records; a reader takes no other.
const RecordVersion = 1

// Record tells of one socket of an engine, as inet_diag(7) does of the kernel's. An engine writes records one after the other into a memfd;
// numbers are in native order. Whoever reads it has a private copy, made at some moments: a chunk of records is of one moment.
type Record struct {
	Local, Remote         [16]byte // IPv4 as ::ffff:a.b.c.d
	LocalPort, RemotePort uint16
	Family                uint8 // AF_INET or AF_INET6
	State                 uint8 // TCP_ESTABLISHED 1 … of <net/tcp_states.h>
	Flags                 uint8
	Timer                 uint8  // idiag_timer: 0 off, 1 on, 2 keepalive, 3 timewait, 4 persist
	Retrans               uint32 // timeouts or probes in a row without an answer
	Expires               uint32 // ms
	Handle                int32  // the engine's number, -1: none (any more)
	FD                    int32  // one of the program's descriptors, -1: none or not known
	Ifindex, Queue        int32  // where the last packet came in, -1: none yet
	RecvQ, SendQ          uint32 // bytes; of a listener: connections that wait to be accepted, and how many may
	NotSent               uint32 // bytes
	HalfOpen              uint32 // listener: connections in SYN-RECV
	Rmem, RcvBuf          uint32 // bytes
	Wmem, SndBuf          uint32 // bytes
	KernelQ               uint32 // listener: kernel sockets that wait in the same accept queue
	_                     uint32
	Cookie                uint64 // listener: SO_COOKIE of the kernel's socket
	Congestion            [16]byte
	Info                  [280]byte // struct tcp_info
}

// Bits of Record.Flags.
const (
	RecordOrphan  = 1 << iota // the program has closed it
	RecordWaiting             // in an accept queue: the program does not have it yet
	RecordBare                // no more than addresses, state and timer: TIME-WAIT, SYN-RECV
)

// SetLocal and SetRemote store an address.
func (r *Record) SetLocal(a netip.AddrPort)  { r.Local, r.LocalPort = a.Addr().As16(), a.Port() }
func (r *Record) SetRemote(a netip.AddrPort) { r.Remote, r.RemotePort = a.Addr().As16(), a.Port() }

// Ends are both addresses; IPv4 comes as such.
func (r *Record) Ends() (local, remote netip.AddrPort) {
	return netip.AddrPortFrom(netip.AddrFrom16(r.Local).Unmap(), r.LocalPort), netip.AddrPortFrom(netip.AddrFrom16(r.Remote).Unmap(), r.RemotePort)
}

// Inspect asks a process for its sockets: the answer is Inspected and a memfd with the records. With Counters there are no records, nor a
// memfd, and Pid may be 0: the processes that ended, summed.
type Inspect struct {
	Pid      int  `json:"pid,omitempty"`
	Counters bool `json:"counters,omitempty"`
}

// Inspected says how much there is.
type Inspected struct {
	Version int      `json:"version"`         // RecordVersion
	Records int      `json:"records"`         // in the memfd
	Notes   []string `json:"notes,omitempty"` // why something stayed with the kernel
	Engine  Gauges   `json:"engine"`          // of the process
	// Counters are DetailNames' values, as read by the broker from the process's state memory.
	Counters []uint64 `json:"counters,omitempty"`
	Stale    bool     `json:"stale,omitempty"`   // the process does not answer: addresses and states are from its state memory
	Comm     string   `json:"program,omitempty"` // filled in by the broker
}

// Gauges are numbers that go up and down.
type Gauges struct {
	Frames     int         `json:"frames"`   // of the umem
	Free       int         `json:"free"`     // frames that nobody has
	Received   int         `json:"received"` // frames that hold data which nobody has read
	Conns      int         `json:"conns"`    // connections that take packets
	Orphans    int         `json:"orphans"`  // of these, closed by the program
	TimeWaits  int         `json:"time_waits"`
	KernelHeld int         `json:"kernel_held"` // kernel sockets in accept queues
	CurrEstab  int         `json:"curr_estab"`  // Tcp CurrEstab of /proc/net/snmp: ESTABLISHED and CLOSE-WAIT
	Goroutines int         `json:"goroutines"`  // of the engine's runtime
	Heap       uint64      `json:"heap"`        // bytes of the engine's runtime that were in use when it collected last
	Rings      []RingGauge `json:"rings,omitempty"`
}

// RingGauge is one queue's.
type RingGauge struct {
	QueueRef
	Device string `json:"device"`
	RX     int    `json:"rx"`   // packets that wait to be taken
	TX     int    `json:"tx"`   // packets that the device has not taken
	Fill   int    `json:"fill"` // frames that the device can receive into

	// XDP_STATISTICS of the AF_XDP socket: packets lost because the ring was full, because no frame was posted, or otherwise.
	RXFull    uint64 `json:"rx_ring_full"`
	FillEmpty uint64 `json:"fill_ring_empty"`
	Dropped   uint64 `json:"rx_dropped"`
	BadTX     uint64 `json:"tx_invalid"`
}

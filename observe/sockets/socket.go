// Package sockets lists TCP sockets as ss(8) does: those of the kernel and those of accelerated programs, each once.
//
//	kernel.go  sock_diag(7) ──┐
//	                          ├─► merge.go ─► filter.go ─► text.go, json.go
//	engine.go  the broker ────┘
package sockets

import "net/netip"

// States, as in <net/tcp_states.h>.
const (
	Established = iota + 1
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
)

var stateNames = [...]string{"UNKNOWN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT",
	"LAST-ACK", "LISTEN", "CLOSING"}

// StateName is ss's name for a state.
func StateName(s uint8) string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return stateNames[0]
}

// Socket is one, the kernel's or an engine's.
type Socket struct {
	Family        uint8
	State         uint8
	Local, Remote netip.AddrPort
	Ifindex       int // it is bound to
	RecvQ, SendQ  uint32
	Timer         uint8
	Retrans       uint32
	Expires       uint32 // ms
	UID           uint32
	Inode         uint64
	Cookie        uint64
	Mark          uint32
	CgroupID      uint64 // of the kernel's
	Cgroup        string // of an accelerated one: its process's
	V6Only        bool
	Shutdown      *uint8
	Memory        *Memory
	Info          *Info
	Congestion    string
	Users         []User
	Accel         *Accel // nil: the kernel's alone
}

// User is a descriptor of a process.
type User struct {
	Program string `json:"program"`
	Pid     int    `json:"pid"`
	FD      int    `json:"fd"`
}

// Accel says how a socket is accelerated. A listener may be by several processes: Owners.
type Accel struct {
	Pid      int      `json:"pid"`
	Program  string   `json:"program"`
	Handle   int32    `json:"handle"`
	Device   string   `json:"device,omitempty"` // where its last packet came in
	Queue    int32    `json:"queue"`
	NotSent  uint32   `json:"not_sent,omitempty"`
	HalfOpen uint32   `json:"half_open,omitempty"`
	Orphan   bool     `json:"orphan,omitempty"`     // closed by the program
	Waiting  bool     `json:"unaccepted,omitempty"` // not accepted yet
	Stale    bool     `json:"stale,omitempty"`      // the process did not answer: seen by the broker
	Owners   []string `json:"owners,omitempty"`
}

// Memory is skmem of ss: what buffers hold and may hold, in bytes.
type Memory struct {
	RmemAlloc, RcvBuf, WmemAlloc, SndBuf, FwdAlloc, WmemQueued, OptMem, Backlog, Drops uint32
}

// Info is struct tcp_info of <linux/tcp.h>. What a kernel does not know is zero.
type Info struct {
	State, CAState, Retransmits, Probes, Backoff, Options, WScale, Flags     uint8
	RTO, ATO, SndMSS, RcvMSS                                                 uint32 // us, bytes
	Unacked, Sacked, Lost, Retrans, Fackets                                  uint32 // segments
	LastDataSent, LastAckSent, LastDataRecv, LastAckRecv                     uint32 // ms ago
	PMTU, RcvSsthresh, RTT, RTTVar, SndSsthresh, SndCwnd, AdvMSS, Reordering uint32
	RcvRTT, RcvSpace, TotalRetrans                                           uint32
	PacingRate, MaxPacingRate, BytesAcked, BytesReceived                     uint64
	SegsOut, SegsIn, NotsentBytes, MinRTT, DataSegsIn, DataSegsOut           uint32
	DeliveryRate, BusyTime, RwndLimited, SndbufLimited                       uint64
	Delivered, DeliveredCE                                                   uint32
	BytesSent, BytesRetrans                                                  uint64
	DSACKDups, ReordSeen, RcvOOOPack, SndWnd, RcvWnd, Rehash                 uint32
	TotalRTO, TotalRTORecoveries                                             uint16
	TotalRTOTime                                                             uint32
}

// Package repair moves TCP connections between a user-space stack and the kernel's sockets with TCP_REPAIR, without the peer noticing.
package repair

import (
	"net/netip"
	"time"
)

// Kernel numbers of the TCP states a connection can be moved in (include/net/tcp_states.h).
const (
	Established = 1
	FinWait1    = 4
	FinWait2    = 5
	CloseWait   = 8
	LastAck     = 9
	Closing     = 11
)

// State is a connection between two packets.
//
//	SndUna              SndNxt
//	  │◄─ sent, unacked ─►│◄── not sent yet ──►│
//	  └────────────── SendData ────────────────┘ (FIN)
//
//	        │◄──── RecvData ────►│ (FIN)  RcvNxt
//	      read by the program    arrived in order
//
// Sequence numbers count a FIN as the RFC does: SndNxt is past it once it was sent, SndUna once it was acknowledged, RcvNxt once it
// was received.
type State struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	State  int            `json:"state"`

	SndUna uint32 `json:"snd_una"`
	SndNxt uint32 `json:"snd_nxt"`
	RcvNxt uint32 `json:"rcv_nxt"`

	SndWl1    uint32 `json:"snd_wl1"`    // sequence number of the segment that last updated SndWnd
	SndWnd    uint32 `json:"snd_wnd"`    // bytes, scaled
	MaxWindow uint32 `json:"max_window"` // largest SndWnd seen
	RcvWnd    uint32 `json:"rcv_wnd"`    // bytes, scaled, counted from RcvWup
	RcvWup    uint32 `json:"rcv_wup"`    // RcvNxt when RcvWnd was last sent

	MSS        uint16 `json:"mss"`        // the peer's, without options: the upper bound of what is sent
	WScale     bool   `json:"wscale"`     // window scaling was negotiated
	SndWScale  uint8  `json:"snd_wscale"` // the peer's shift
	RcvWScale  uint8  `json:"rcv_wscale"` // ours
	SACK       bool   `json:"sack"`
	Timestamps bool   `json:"timestamps"`
	TSVal      uint32 `json:"ts_val"`    // the least TSval the next segment may carry (milliseconds)
	TSRecent   uint32 `json:"ts_recent"` // the peer's, as to be echoed; 0: not known (the kernel does not tell)
	SRTT       int    `json:"srtt"`      // smoothed round-trip time, microseconds; 0: not known

	NoDelay   bool `json:"nodelay,omitempty"`
	Cork      bool `json:"cork,omitempty"`
	KeepAlive bool `json:"keepalive,omitempty"`
	KeepIdle  int  `json:"keep_idle,omitempty"` // seconds; 0: the kernel's default
	KeepIntvl int  `json:"keep_intvl,omitempty"`
	KeepCnt   int  `json:"keep_cnt,omitempty"`
	RcvBuf    int  `json:"rcvbuf,omitempty"` // as set by the program (SO_RCVBUF); 0: automatic
	SndBuf    int  `json:"sndbuf,omitempty"`
	TOS       int  `json:"tos,omitempty"`

	ShutRead bool `json:"shut_rd,omitempty"` // shutdown(SHUT_RD); the kernel tells it of no socket

	UserTimeout int    `json:"user_timeout,omitempty"` // milliseconds
	Linger      int    `json:"linger,omitempty"`       // SO_LINGER in seconds plus one; 0: off
	Congestion  string `json:"congestion,omitempty"`
	V6Only      bool   `json:"v6only,omitempty"`
	Mapped      bool   `json:"mapped,omitempty"` // an AF_INET6 socket with IPv4 addresses

	Deadline time.Time `json:"-"` // ToKernel brings no socket to life after it; zero: none

	rcvbuf, sndbuf int // the kernel's own sizes, while they are larger for filling
	via            *Injector
	windowShut     bool // the kernel's socket believes that SndWnd is 0

	SendData []byte `json:"-"`
	RecvData []byte `json:"-"`
}

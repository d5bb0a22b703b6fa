package tcp

import "time"

// Params are the settings a host keeps in /proc/sys/net/ipv4/tcp_* (the name without "tcp_" is beside each field).
// They are read once, shared by all connections of a stack, and not changed afterwards.
type Params struct {
	Rmem [3]int // rmem: least, first and largest receive buffer in bytes
	Wmem [3]int // wmem: the same of the send buffer

	RmemMax, WmemMax int // net.core.rmem_max, wmem_max: the largest SO_RCVBUF and SO_SNDBUF

	SYNRetries    int // syn_retries
	SYNACKRetries int // synack_retries
	Retries1      int // retries1: doubt the route
	Retries2      int // retries2: give up
	OrphanRetries int // orphan_retries: 0 means 8
	MaxOrphans    int // max_orphans

	KeepIdle   time.Duration // keepalive_time
	KeepIntvl  time.Duration // keepalive_intvl
	KeepProbes int           // keepalive_probes
	FinTimeout time.Duration // fin_timeout

	MaxSYNBacklog  int  // max_syn_backlog
	Somaxconn      int  // net.core.somaxconn
	SYNCookies     int  // syncookies: 0 never, 1 when the queue is full, 2 always
	AbortOverflow  bool // abort_on_overflow
	MaxTWBuckets   int  // max_tw_buckets
	TWReuse        int  // tw_reuse
	RFC1337        bool // rfc1337: resets do not end TIME-WAIT
	SYNLinear      int  // syn_linear_timeouts: that many repetitions of a SYN are not backed off
	ChallengeLimit int  // challenge_ack_limit per second

	InvalidLimit time.Duration // invalid_ratelimit: least time between answers to what is not acceptable

	Timestamps     bool   // timestamps
	SACK           bool   // sack
	DSACK          bool   // dsack
	CompSackNr     int    // comp_sack_nr: 0 never holds an ACK, at most 255
	WindowScaling  bool   // window_scaling
	ECN            int    // ecn: 0 never, 1 ask and answer, 2 answer only
	ECNFallback    bool   // ecn_fallback
	Congestion     string // congestion_control
	SlowStartIdle  bool   // slow_start_after_idle
	FRTO           bool   // frto
	Recovery       int    // recovery: bit 0 RACK, bit 1 static reordering window, bit 2 no DUPACK threshold
	EarlyRetrans   int    // early_retrans: 3 = TLP
	Reordering     int    // reordering
	MaxReordering  int    // max_reordering
	LimitNotsent   int    // notsent_lowat in bytes
	MinTSOSegs     int    // min_tso_segs
	NoMetricsSave  bool   // no_metrics_save
	MTUProbing     int    // mtu_probing
	BaseMSS        int    // base_mss
	MTUProbeFloor  int    // mtu_probe_floor
	MinSndMSS      int    // min_snd_mss
	ProbeThreshold int    // probe_threshold: the search ends when less is unknown
	ModerateRcvbuf bool   // moderate_rcvbuf
	AdvWinScale    int    // adv_win_scale
	ShrinkWindow   bool   // shrink_window

	TWReuseDelay time.Duration // tw_reuse_delay

	ProbeInterval time.Duration // probe_interval: then the search begins anew

	MTUExpires, MTUExpires6 time.Duration // route/mtu_expires: how long "too big" is believed

	FastOpen     int          // fastopen
	FastOpenKeys FastOpenKeys // fastopen_key

	CompSackDelay time.Duration // comp_sack_delay_ns

	PacingSS, PacingCA int           // pacing_ss_ratio, pacing_ca_ratio: percent of a window a round trip
	MinRTTWindow       time.Duration // min_rtt_wlen: how long the least round-trip time is remembered

	RTOMin time.Duration // rto_min_us
	RTOMax time.Duration // rto_max_ms
}

// DefaultParams are what a Linux 6.18 host has when nobody changed anything.
func DefaultParams() *Params {
	return &Params{
		Rmem: [3]int{4096, 131072, 33554432}, Wmem: [3]int{4096, 16384, 4194304},
		RmemMax: 4194304, WmemMax: 4194304,
		SYNRetries: 6, SYNACKRetries: 5, Retries1: 3, Retries2: 15, MaxOrphans: 131072,
		KeepIdle: 2 * time.Hour, KeepIntvl: 75 * time.Second, KeepProbes: 9, FinTimeout: 60 * time.Second,
		MaxSYNBacklog: 1024, Somaxconn: 4096, SYNCookies: 1, MaxTWBuckets: 65536, TWReuse: 2, TWReuseDelay: time.Second, SYNLinear: 4, ChallengeLimit: 1<<31 - 1,
		Timestamps: true, SACK: true, DSACK: true, WindowScaling: true, ECN: 2, ECNFallback: true,
		Congestion: "cubic", SlowStartIdle: true,
		FRTO: true, Recovery: 1, EarlyRetrans: 3, Reordering: 3, MaxReordering: 300, LimitNotsent: 1<<32 - 1, MinTSOSegs: 2,
		BaseMSS: 1024, MTUProbeFloor: 48, MinSndMSS: 48, ModerateRcvbuf: true, AdvWinScale: 1,
		ProbeThreshold: 8, ProbeInterval: 600 * time.Second,
		MTUExpires: 600 * time.Second, MTUExpires6: 600 * time.Second,
		FastOpen: fastClient, CompSackNr: 44, CompSackDelay: time.Millisecond,
		InvalidLimit: 500 * time.Millisecond, PacingSS: 200, PacingCA: 120, MinRTTWindow: 300 * time.Second,
		RTOMin: 200 * time.Millisecond, RTOMax: 120 * time.Second,
	}
}

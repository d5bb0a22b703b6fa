package engine

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// sysctls are the host's settings that a user expects to matter, by their name under /proc/sys/net.
var sysctls = []struct {
	name string
	set  func(p *tcp.Params, v []string)
}{
	{"ipv4/tcp_rmem", func(p *tcp.Params, v []string) { triple(&p.Rmem, v) }},
	{"ipv4/tcp_wmem", func(p *tcp.Params, v []string) { triple(&p.Wmem, v) }},
	{"ipv4/tcp_syn_retries", func(p *tcp.Params, v []string) { number(&p.SYNRetries, v) }},
	{"ipv4/tcp_synack_retries", func(p *tcp.Params, v []string) { number(&p.SYNACKRetries, v) }},
	{"ipv4/tcp_retries1", func(p *tcp.Params, v []string) { number(&p.Retries1, v) }},
	{"ipv4/tcp_retries2", func(p *tcp.Params, v []string) { number(&p.Retries2, v) }},
	{"ipv4/tcp_orphan_retries", func(p *tcp.Params, v []string) { number(&p.OrphanRetries, v) }},
	{"ipv4/tcp_max_orphans", func(p *tcp.Params, v []string) { number(&p.MaxOrphans, v) }},
	{"ipv4/tcp_ecn_fallback", func(p *tcp.Params, v []string) { flag(&p.ECNFallback, v) }},
	{"ipv4/route/mtu_expires", func(p *tcp.Params, v []string) { seconds(&p.MTUExpires, v) }},
	{"ipv6/route/mtu_expires", func(p *tcp.Params, v []string) { seconds(&p.MTUExpires6, v) }},
	{"ipv4/tcp_keepalive_time", func(p *tcp.Params, v []string) { seconds(&p.KeepIdle, v) }},
	{"ipv4/tcp_keepalive_intvl", func(p *tcp.Params, v []string) { seconds(&p.KeepIntvl, v) }},
	{"ipv4/tcp_keepalive_probes", func(p *tcp.Params, v []string) { number(&p.KeepProbes, v) }},
	{"ipv4/tcp_fin_timeout", func(p *tcp.Params, v []string) { seconds(&p.FinTimeout, v) }},
	{"ipv4/tcp_max_syn_backlog", func(p *tcp.Params, v []string) { number(&p.MaxSYNBacklog, v) }},
	{"core/somaxconn", func(p *tcp.Params, v []string) { number(&p.Somaxconn, v) }},
	{"ipv4/tcp_syncookies", func(p *tcp.Params, v []string) { number(&p.SYNCookies, v) }},
	{"ipv4/tcp_abort_on_overflow", func(p *tcp.Params, v []string) { flag(&p.AbortOverflow, v) }},
	{"ipv4/tcp_max_tw_buckets", func(p *tcp.Params, v []string) { number(&p.MaxTWBuckets, v) }},
	{"ipv4/tcp_tw_reuse", func(p *tcp.Params, v []string) { number(&p.TWReuse, v) }},
	{"ipv4/tcp_tw_reuse_delay", func(p *tcp.Params, v []string) { scaled(&p.TWReuseDelay, v, time.Millisecond) }},
	{"ipv4/tcp_rfc1337", func(p *tcp.Params, v []string) { flag(&p.RFC1337, v) }},
	{"ipv4/tcp_syn_linear_timeouts", func(p *tcp.Params, v []string) { number(&p.SYNLinear, v) }},
	{"ipv4/tcp_challenge_ack_limit", func(p *tcp.Params, v []string) { number(&p.ChallengeLimit, v) }},
	{"ipv4/tcp_invalid_ratelimit", func(p *tcp.Params, v []string) { scaled(&p.InvalidLimit, v, time.Millisecond) }},
	{"ipv4/tcp_pacing_ss_ratio", func(p *tcp.Params, v []string) { number(&p.PacingSS, v) }},
	{"ipv4/tcp_pacing_ca_ratio", func(p *tcp.Params, v []string) { number(&p.PacingCA, v) }},
	{"ipv4/tcp_min_rtt_wlen", func(p *tcp.Params, v []string) { seconds(&p.MinRTTWindow, v) }},
	{"ipv4/tcp_timestamps", func(p *tcp.Params, v []string) { flag(&p.Timestamps, v) }},
	{"ipv4/tcp_sack", func(p *tcp.Params, v []string) { flag(&p.SACK, v) }},
	{"ipv4/tcp_dsack", func(p *tcp.Params, v []string) { flag(&p.DSACK, v) }},
	{"ipv4/tcp_comp_sack_nr", func(p *tcp.Params, v []string) { number(&p.CompSackNr, v) }},
	{"ipv4/tcp_comp_sack_delay_ns", func(p *tcp.Params, v []string) { nanoseconds(&p.CompSackDelay, v) }},
	{"ipv4/tcp_window_scaling", func(p *tcp.Params, v []string) { flag(&p.WindowScaling, v) }},
	{"ipv4/tcp_ecn", func(p *tcp.Params, v []string) { number(&p.ECN, v) }},
	{"ipv4/tcp_slow_start_after_idle", func(p *tcp.Params, v []string) { flag(&p.SlowStartIdle, v) }},
	{"ipv4/tcp_mtu_probing", func(p *tcp.Params, v []string) { number(&p.MTUProbing, v) }},
	{"ipv4/tcp_base_mss", func(p *tcp.Params, v []string) { number(&p.BaseMSS, v) }},
	{"ipv4/tcp_mtu_probe_floor", func(p *tcp.Params, v []string) { number(&p.MTUProbeFloor, v) }},
	{"ipv4/tcp_min_snd_mss", func(p *tcp.Params, v []string) { number(&p.MinSndMSS, v) }},
	{"ipv4/tcp_probe_threshold", func(p *tcp.Params, v []string) { number(&p.ProbeThreshold, v) }},
	{"ipv4/tcp_probe_interval", func(p *tcp.Params, v []string) { seconds(&p.ProbeInterval, v) }},
	{"ipv4/tcp_frto", func(p *tcp.Params, v []string) { flag(&p.FRTO, v) }},
	{"ipv4/tcp_recovery", func(p *tcp.Params, v []string) { number(&p.Recovery, v) }},
	{"ipv4/tcp_early_retrans", func(p *tcp.Params, v []string) { number(&p.EarlyRetrans, v) }},
	{"ipv4/tcp_reordering", func(p *tcp.Params, v []string) { number(&p.Reordering, v) }},
	{"ipv4/tcp_max_reordering", func(p *tcp.Params, v []string) { number(&p.MaxReordering, v) }},
	{"ipv4/tcp_min_tso_segs", func(p *tcp.Params, v []string) { number(&p.MinTSOSegs, v) }},
	{"ipv4/tcp_notsent_lowat", func(p *tcp.Params, v []string) { number(&p.LimitNotsent, v) }},
	{"ipv4/tcp_rto_min_us", func(p *tcp.Params, v []string) { scaled(&p.RTOMin, v, time.Microsecond) }},
	{"ipv4/tcp_rto_max_ms", func(p *tcp.Params, v []string) { scaled(&p.RTOMax, v, time.Millisecond) }},
	{"core/rmem_max", func(p *tcp.Params, v []string) { number(&p.RmemMax, v) }},
	{"core/wmem_max", func(p *tcp.Params, v []string) { number(&p.WmemMax, v) }},
	{"ipv4/tcp_shrink_window", func(p *tcp.Params, v []string) { flag(&p.ShrinkWindow, v) }},
	{"ipv4/tcp_moderate_rcvbuf", func(p *tcp.Params, v []string) { flag(&p.ModerateRcvbuf, v) }},
	{"ipv4/tcp_fastopen", func(p *tcp.Params, v []string) { number(&p.FastOpen, v) }},
	{"ipv4/tcp_fastopen_key", func(p *tcp.Params, v []string) { // readable by root only
		if k := new(tcp.FastOpenKeys); k.Parse(v[0]) == nil {
			p.FastOpenKeys = *k
		}
	}},
	{"ipv4/tcp_congestion_control", func(p *tcp.Params, v []string) {
		if tcp.KnownCongestion(v[0]) {
			p.Congestion = v[0]
		}
	}},
}

// readParams reads the settings of the process's own network namespace; what cannot be read (no /proc) keeps its default.
func readParams() *tcp.Params {
	p := tcp.DefaultParams()
	for _, s := range sysctls {
		if v := strings.Fields(readSmall("/proc/sys/net/" + s.name)); len(v) > 0 {
			s.set(p, v)
		}
	}
	return p
}

// params are readParams with what SLUICE_CONGESTION says of them.
func (b *Boot) params() *tcp.Params {
	p := readParams()
	if name := b.knob("SLUICE_CONGESTION", "host"); tcp.KnownCongestion(name) {
		p.Congestion = name
	}
	return p
}

// readSmall reads a file without the os package, whose files go through the runtime's poller.
func readSmall(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var b [256]byte
	n, err := unix.Read(fd, b[:])
	if err != nil || n < 0 {
		return ""
	}
	return string(b[:n])
}

func number(to *int, v []string) {
	if n, err := strconv.Atoi(v[0]); err == nil {
		*to = n
	}
}

func flag(to *bool, v []string) {
	if n, err := strconv.Atoi(v[0]); err == nil {
		*to = n != 0
	}
}

func seconds(to *time.Duration, v []string) { scaled(to, v, time.Second) }

func scaled(to *time.Duration, v []string, unit time.Duration) {
	if n, err := strconv.Atoi(v[0]); err == nil {
		*to = time.Duration(n) * unit
	}
}

func nanoseconds(to *time.Duration, v []string) {
	if n, err := strconv.Atoi(v[0]); err == nil {
		*to = time.Duration(n)
	}
}

func triple(to *[3]int, v []string) {
	if len(v) != 3 {
		return
	}
	for i := range v {
		if n, err := strconv.Atoi(v[i]); err == nil {
			to[i] = n
		}
	}
}

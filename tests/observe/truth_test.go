package observe

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/tests/testrig"
)

// nginx under load loses one packet in fifty, either way: segments, retransmissions and bytes are what a capture at the far end says, exactly.
// What happens to ACKs, timers and the window tells itself in the counters with the kernel's names.
func TestCountersOfNginxUnderLossAgreeWithACapture(t *testing.T) {
	r := newRig(t)
	x := r.nginx()
	require.NoError(t, x.File("big", 400_000))
	done := r.capturing(80)
	mend := testrig.Lose(t, r.Client, 0.02)
	var bytes uint64
	for _, l := range strings.Fields(testrig.Run(t, r.Client, "curl", "-sS", "--parallel", "--parallel-max", "4", "-Z", "--retry", "5", "-o", "/dev/null",
		"-w", "%{size_header}+%{size_download}\n", r.url("big?[1-12]"))) {
		head, body, _ := strings.Cut(l, "+")
		for _, s := range []string{head, body} {
			n, err := strconv.ParseUint(s, 10, 64)
			require.NoError(t, err, l)
			bytes += n
		}
	}
	mend()
	testrig.Until(t, "the connections' end", func() bool {
		return len(r.ss(r.Server, "--accelerated", "state", "connected", "exclude", "time-wait")) == 0
	})
	n := r.settled()
	seen := done()
	require.EqualValues(t, 12*400_000, bytes/100_000*100_000)
	require.Equal(t, bytes, seen.bytesOut-seen.bytesAgain, "%+v", seen)
	require.Equal(t, seen.in, n["TcpInSegs"], "%+v", seen)
	require.Equal(t, seen.out, n["TcpOutSegs"]+n["TcpRetransSegs"]-seen.synAgain, "%+v: a repeated SYN-ACK is in both", seen)
	require.Equal(t, seen.again+seen.synAgain, n["TcpRetransSegs"], "%+v", seen)
	require.Greater(t, seen.again, uint64(20), "so much is lost of 3300 segments")
	require.NotZero(t, n["TcpExtTCPSackRecovery"])
	require.LessOrEqual(t, n["TcpExtTCPFastRetrans"]+n["TcpExtTCPSlowStartRetrans"], n["TcpRetransSegs"])
	require.GreaterOrEqual(t, n["TcpExtTCPDelivered"], n["TcpExtTCPOrigDataSent"], "all that was sent arrived in the end")
	require.Equal(t, n["IpInReceives"], n["IpExtInNoECTPkts"])
}

// redis under load: what the program's clients count, the counters count; sluice ss tells the same bytes as the peer's kernel.
func TestCountersOfRedisUnderLoad(t *testing.T) {
	r := newRig(t)
	redis := testrig.Start(t, r.Server, r.Env(), testrig.Built(t, "sluice"), "run", "--", "redis-server", "--port", "6379", "--protected-mode", "no",
		"--save", "", "--appendonly", "no", "--dir", r.Dir)
	testrig.Until(t, "redis", func() bool { return r.Status().QueuesByPID()[redis.Pid()] > 0 })
	r.waitOwner(redis.Pid())
	done := r.capturing(6379)
	const requests, clients = 20000, 20
	out := testrig.Run(t, r.Client, "redis-benchmark", "-h", r.Server.IPv4.String(), "-c", fmt.Sprint(clients), "-n", fmt.Sprint(requests), "-t", "ping_mbulk", "-q")
	require.Contains(t, out, "requests per second")
	testrig.Until(t, "the connections' end", func() bool {
		return len(r.ss(r.Server, "--accelerated", "state", "connected", "exclude", "time-wait")) == 0
	})
	n := r.settled()
	seen := done()
	require.Equal(t, seen.in, n["TcpInSegs"], "%+v", seen)
	require.Equal(t, seen.out, n["TcpOutSegs"]+n["TcpRetransSegs"], "%+v", seen)
	require.Equal(t, seen.again, n["TcpRetransSegs"], "%+v", seen)
	require.GreaterOrEqual(t, n["TcpPassiveOpens"], uint64(clients))
	require.GreaterOrEqual(t, seen.bytesOut-seen.bytesAgain, uint64(requests*len("+PONG\r\n")))
	require.NotZero(t, n["SluiceCrossings"])
	redis.Stop(syscall.SIGTERM)
}

// known is the kernel whose counters the documentation goes through: others have a few more or less.
const known = "6.18."

// Each counter of the kernel's Ip, Tcp and TcpExt is served under its name, or the documentation says why it has no meaning here; none both.
func TestEveryCounterOfTheKernelIsServedOrExplained(t *testing.T) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	require.NoError(t, err)
	if !strings.HasPrefix(string(release), known) {
		t.Skipf("the documentation is of Linux %s", known)
	}
	doc, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	_, absent, found := strings.Cut(string(doc), "\n### Counters without a meaning here\n")
	require.True(t, found)
	absent, _, _ = strings.Cut(absent, "\n## ")
	served := map[string]bool{"Tcp.CurrEstab": true} // a gauge: the sum of the engines'
	for _, name := range proto.DetailNames {
		served[name] = true
	}
	kernel := map[string]bool{}
	for _, file := range []string{"/proc/net/snmp", "/proc/net/netstat"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := strings.Split(string(text), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			group, names, _ := strings.Cut(lines[i], ":")
			for _, name := range strings.Fields(names) {
				name = group + "." + name
				kernel[name] = true
				if group != "Ip" && group != "Tcp" && group != "TcpExt" {
					continue
				}
				explained := strings.Contains(absent, "`"+name+"`")
				require.NotEqual(t, served[name], explained, "%s: served %v, said to have no meaning %v", name, served[name], explained)
			}
		}
	}
	spec, err := btf.LoadKernelSpec()
	require.NoError(t, err)
	var reasons *btf.Enum
	require.NoError(t, spec.TypeByName("skb_drop_reason", &reasons))
	for _, v := range reasons.Values {
		kernel["Drop."+strings.TrimPrefix(v.Name, "SKB_DROP_REASON_")] = true
	}
	for name := range served {
		require.True(t, kernel[name] || strings.HasPrefix(name, "Sluice."), "the kernel has no %s", name)
	}
}

package observe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

var sample = regexp.MustCompile(`(?m)^(\w+)(?:\{([^}]*)\})? (\S+)$`)

// scrape is what Prometheus gets: values by name and labels.
func (r *rig) scrape() map[string]float64 {
	r.T.Helper()
	out := map[string]float64{}
	for _, m := range sample.FindAllStringSubmatch(testrig.Run(r.T, nil, "curl", "-sS", "--fail", "http://127.0.0.1:19464/metrics"), -1) {
		v, err := strconv.ParseFloat(m[3], 64)
		require.NoError(r.T, err)
		out[m[1]+"{"+m[2]+"}"] = v
	}
	return out
}

// Prometheus sees what netstat does, per program; what a program counted stays when it ends; the dashboard asks for nothing that is not there.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.Broker.Stop(syscall.SIGTERM)
	r.Broker = testrig.Start(t, nil, nil, testrig.Built(t, "sluice"), "broker", "--socket", r.Socket(), "--pins", r.Pins(), "--metrics", "127.0.0.1:19464")
	b := r.Broker
	t.Cleanup(func() { b.Stop(syscall.SIGTERM) })
	testrig.Until(t, "the broker", func() bool { _, err := testrig.QueryStatus(r.Socket()); return err == nil })
	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen l 0.0.0.0 80")
	for i := range 4 {
		c.do("connect c%d %s 80", i, r.Server.IPv4)
		s.do("accept l s%d", i)
	}
	s.do("send s0 100000")
	c.do("recv c0 100000")
	n := r.settled()
	who := `{pid="` + strconv.Itoa(s.Pid()) + `",program="python3"}`
	got := r.scrape()
	for metric, name := range map[string]string{"sluice_netstat_Tcp_InSegs": "TcpInSegs", "sluice_netstat_Tcp_OutSegs": "TcpOutSegs",
		"sluice_netstat_Tcp_PassiveOpens": "TcpPassiveOpens", "sluice_netstat_TcpExt_TCPOrigDataSent": "TcpExtTCPOrigDataSent"} {
		require.EqualValues(t, n[name], got[metric+who], metric)
		require.NotZero(t, n[name])
	}
	require.EqualValues(t, 4, got[strings.TrimSuffix("sluice_connections"+who, "}")+`,state="established"}`])
	require.EqualValues(t, 1, got["sluice_programs{}"])
	board, err := os.ReadFile(filepath.Join("..", "..", "observe", "grafana", "sluice.json"))
	require.NoError(t, err)
	require.True(t, json.Valid(board))
	asked := regexp.MustCompile(`sluice_\w+`).FindAllString(string(board), -1)
	require.Greater(t, len(asked), 10)
	for _, name := range asked {
		found := false
		for have := range got {
			found = found || strings.HasPrefix(have, name+"{")
		}
		require.True(t, found || name == "sluice_mirror_packets_total", "the dashboard asks for %s", name)
	}
	s.Stop(syscall.SIGTERM)
	testrig.Until(t, "the end", func() bool { return r.scrape()["sluice_programs{}"] == 0 })
	require.GreaterOrEqual(t, r.scrape()[`sluice_netstat_Tcp_PassiveOpens{pid="0",program="(ended)"}`], 4.0)
}

// top shows a program's rates while redis is under load.
func TestTopOfRedisUnderLoad(t *testing.T) {
	r := newRig(t)
	redis := testrig.Start(t, r.Server, r.Env(), testrig.Built(t, "sluice"), "run", "--", "redis-server", "--port", "6379", "--protected-mode", "no",
		"--save", "", "--appendonly", "no", "--dir", r.Dir)
	testrig.Until(t, "redis", func() bool { return r.Status().QueuesByPID()[redis.Pid()] > 0 })
	r.waitOwner(redis.Pid())
	bench := testrig.Start(t, r.Client, nil, "redis-benchmark", "-h", r.Server.IPv4.String(), "-c", "20", "-n", "100000000", "-t", "get", "-q")
	testrig.Until(t, "twenty connections", func() bool { return len(r.ss(r.Server, "--accelerated", "state", "established")) == 20 })
	out := r.sluice(r.Server, "top", "-b", "-n", "1", "-d", "0.5")
	bench.Stop(syscall.SIGTERM)
	redis.Stop(syscall.SIGTERM)
	require.Regexp(t, `1 programs, 20 connections, \S+B/s in, \S+B/s out`, out)
	row := regexp.MustCompile(`(?m)^ *` + strconv.Itoa(redis.Pid()) + ` redis-server +20 +(\S+) +(\S+)`).FindStringSubmatch(out)
	require.NotNil(t, row, out)
	require.NotEqual(t, "0", row[1])
	require.NotEqual(t, "0", row[2])
	require.Equal(t, 20, strings.Count(out, "10.77.0.1:6379"), out)
	require.Regexp(t, `10\.77\.0\.1:6379 +10\.77\.0\.2:\d+ +ESTAB +[1-9]`, out)
}

package bench

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadLatencies(t *testing.T) {
	var raw []byte
	for ns := range uint32(1000) {
		raw = binary.NativeEndian.AppendUint32(raw, (ns+1)*100)
	}
	var s Sample
	require.NoError(t, readLatencies(&s, &output{Stdout: raw, Stderr: "sluice: a word\n1100 in all\n"}))
	require.EqualValues(t, 1100, s.Count)
	require.InDelta(t, 50, s.Latency.P50, 0.2)
	require.InDelta(t, 99, s.Latency.P99, 0.2)
	require.EqualValues(t, 1000, s.Latency.N)
	require.InDelta(t, 1e9/50050, s.Rate, 30, "one after the other")
	require.Error(t, readLatencies(&s, &output{Stdout: raw}), "no count")
	require.Error(t, readLatencies(&s, &output{Stdout: raw[1:]}))
	require.Error(t, readLatencies(&Sample{}, &output{}), "nothing was measured")
}

const wrkText = `Running 1s test @ http://10.77.0.1:80/index.html
  Latency Distribution
     50%  100.00us
     99%    2.00ms
  1000 requests in 1.00s, 0.80MB read
Requests/sec:   1000.00
latency 100 990
latency 2000 10
`

func TestReadWrk(t *testing.T) {
	var s Sample
	require.NoError(t, readWrk(&s, &output{Stdout: []byte(wrkText)}))
	require.Equal(t, 1000.0, s.Rate)
	require.EqualValues(t, 1000, s.Count)
	require.EqualValues(t, 1000, s.Latency.N)
	require.InDelta(t, 100, s.Latency.P50, 0.2)
	require.InDelta(t, 2000, s.Latency.P999, 2)
	require.Error(t, readWrk(&s, &output{Stdout: []byte(wrkText + "  Socket errors: connect 0, read 1, write 0, timeout 0\n")}))
}

func TestReadRedis(t *testing.T) {
	const text = `====== GET ======
Latency by percentile distribution:
0.000% <= 0.100 milliseconds (cumulative count 10)
50.000% <= 0.300 milliseconds (cumulative count 600)
100.000% <= 2.000 milliseconds (cumulative count 1000)

Cumulative distribution of latencies:
0.000% <= 0.103 milliseconds (cumulative count 999)

Summary:
  throughput summary: 12345.67 requests per second
`
	var s Sample
	require.NoError(t, readRedis(&s, text))
	require.Equal(t, 12345.67, s.Rate)
	require.EqualValues(t, 1000, s.Latency.N)
	require.InDelta(t, 300, s.Latency.P50, 0.5)
	require.InDelta(t, 2000, s.Latency.P99, 2)
	require.Error(t, readRedis(&s, "Could not connect"))
}

func TestReadMemaslap(t *testing.T) {
	var s Sample
	require.NoError(t, readMemaslap(&s, &output{Stdout: []byte("cmd_get: 9\nRun time: 2.0s Ops: 3000 TPS: 1499 Net_rate: 1.5M/s\n")}))
	require.Equal(t, 1500.0, s.Rate)
	require.EqualValues(t, 3000, s.Count)
	require.Error(t, readMemaslap(&s, &output{Stdout: []byte("no")}))
}

func TestCostIsPerRequestOrByte(t *testing.T) {
	s := Sample{Count: 1000, Rate: 1000, CPU: CPU{Server: 0.002, Client: 0.001, SoftIRQ: 0.001}}
	require.InDelta(t, 4, s.each(s.CPU.Total(), "requests/s"), 1e-9, "microseconds a request")
	s.Count, s.Rate = 1e9, 1e6
	require.InDelta(t, 0.002, s.each(s.CPU.Server, perByte), 1e-9, "nanoseconds a byte")
}

func TestResumeOnlyWhatIsTheSame(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Rounds: 2, Seconds: 1}
	old := newReport(cfg)
	old.add(&Result{Name: "idle", When: time.Now()})
	old.add(&Result{Name: "redis-get", LeftOut: "not installed"})
	require.NoError(t, old.save(dir))
	rep := newReport(cfg)
	require.NoError(t, rep.recall(dir))
	require.True(t, rep.has("idle"))
	require.False(t, rep.has("redis-get"), "what was left out is tried again")
	require.Error(t, newReport(Config{Rounds: 3, Seconds: 1}).recall(dir))
	require.NoError(t, newReport(cfg).recall(t.TempDir()))
}

func TestReadWhatWasDropped(t *testing.T) {
	n, err := readTotal("ready\n12 packets/s\ntotal 123 packets 7380 bytes\n")
	require.NoError(t, err)
	require.EqualValues(t, 123, n)
	_, err = readTotal("ready\n")
	require.Error(t, err)
	const rules = `Chain PREROUTING (policy ACCEPT 3 packets, 180 bytes)
    pkts      bytes target     prot opt in     out     source               destination
       7      420 DROP       17   --  *      *       0.0.0.0/0            0.0.0.0/0            udp dpt:10001
  901520 41469920 DROP       17   --  *      *       0.0.0.0/0            0.0.0.0/0            udp dpt:10002
`
	n, err = readRule(rules, 10002)
	require.NoError(t, err)
	require.EqualValues(t, 901520, n)
	_, err = readRule(rules, 10003)
	require.Error(t, err)
}

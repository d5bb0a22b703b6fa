package bench

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const storeClients = 50

// redis is GET or SET from redis-benchmark, without pipelining.
func redis(name, test string) Work {
	w := Work{
		Name: name, Title: "redis " + strings.ToUpper(test) + ", 50 connections, no pipeline", Unit: "requests/s", Bed: oneQueue,
		Needs: []string{"redis-server", "redis-benchmark"}, Package: "redis-server, redis-tools",
	}
	for _, p := range []Path{Kernel, Server, Both} {
		w.Variants = append(w.Variants, Variant{Name: p.String(), Path: p, run: func(s *Session) (*Sample, error) {
			return redisRun(s, p, test)
		}})
	}
	return w
}

func redisRun(s *Session, p Path, test string) (*Sample, error) {
	at := s.port()
	ip, port := s.server.ip.String(), strconv.Itoa(at)
	n := int(60_000 * s.seconds) // redis-benchmark counts requests, not seconds: about a second's worth of the kernel's
	return load{
		path: p, port: at,
		server: command{Program: "redis-server", Args: []string{"--bind", ip, "--port", port, "--save", "", "--appendonly", "no", "--protected-mode", "no", "--daemonize", "no"}},
		client: command{Program: "redis-benchmark", Args: []string{"-h", ip, "-p", port, "-c", strconv.Itoa(storeClients), "-n", strconv.Itoa(n), "-t", test, "--precision", "3"}},
		read: func(s *Sample, out *output) error {
			s.Count = uint64(n)
			return readRedis(s, string(out.Stdout))
		},
	}.run(s)
}

var (
	redisRate = regexp.MustCompile(`throughput summary: ([\d.]+) requests per second`)
	redisStep = regexp.MustCompile(`^([\d.]+)% <= ([\d.]+) milliseconds \(cumulative count (\d+)\)`)
)

// readRedis takes the rate and the latencies from redis-benchmark's table by percentile, whose steps halve towards 100 %.
func readRedis(s *Sample, text string) error {
	m := redisRate.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("not the output of redis-benchmark: %q", tail(text))
	}
	s.Rate, _ = strconv.ParseFloat(m[1], 64)
	_, table, _ := strings.Cut(text, "Latency by percentile distribution:")
	h := newHist()
	var before int64
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "Cumulative distribution") {
			break
		}
		m := redisStep.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		ms, _ := strconv.ParseFloat(m[2], 64)
		count, _ := strconv.ParseInt(m[3], 10, 64)
		if err := h.RecordValues(int64(ms*1e6), count-before); err != nil {
			return err
		}
		before = count
	}
	s.record(h)
	return nil
}

// memcached is the default mix of memaslap, nine GETs to a SET.
func memcached() Work {
	w := Work{
		Name: "memcached", Title: "memcached, memaslap's mix of 90% GET and 10% SET, 50 connections", Unit: "requests/s", Bed: oneQueue,
		Needs: []string{"memcached", "memcaslap"}, Package: "memcached, libmemcached-tools",
		Note: "memaslap tells latencies only by powers of two, so there are none here",
	}
	for _, p := range []Path{Kernel, Server, Both} {
		w.Variants = append(w.Variants, Variant{Name: p.String(), Path: p, run: func(s *Session) (*Sample, error) { return memcachedRun(s, p) }})
	}
	return w
}

func memcachedRun(s *Session, p Path) (*Sample, error) {
	at := s.port()
	ip, port := s.server.ip.String(), strconv.Itoa(at)
	d := time.Duration(s.seconds * float64(time.Second)).Round(time.Second)
	return load{
		path: p, port: at,
		server: command{Program: "memcached", Args: []string{"-u", "nobody", "-l", ip, "-p", port, "-U", "0", "-t", "1", "-m", "64"}},
		client: command{Program: "memcaslap", Args: []string{"-s", ip + ":" + port, "-T", "1", "-c", strconv.Itoa(storeClients), "-X", "100",
			"-t", strconv.Itoa(max(1, int(d.Seconds()))) + "s"}},
		read: readMemaslap,
	}.run(s)
}

var memaslapRun = regexp.MustCompile(`Run time: ([\d.]+)s Ops: (\d+) TPS: (\d+)`)

func readMemaslap(s *Sample, out *output) error {
	m := memaslapRun.FindSubmatch(out.Stdout)
	if m == nil {
		return fmt.Errorf("not the output of memaslap: %q", tail(string(out.Stdout)))
	}
	s.Count, _ = strconv.ParseUint(string(m[2]), 10, 64)
	took, _ := strconv.ParseFloat(string(m[1]), 64)
	s.Rate = float64(s.Count) / took
	return nil
}

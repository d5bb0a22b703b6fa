package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sluice-net/sluice/testbed"
)

// Works lists all there is to measure. The targets in the comparisons are those that the project set itself; nothing is
// derived from them.
func Works() []Work {
	return []Work{
		with(pingPong("pingpong-1", "ping-pong of 1 byte, one connection", 1), pingTargets()...),
		with(pingPong("pingpong-1k", "ping-pong of 1 KiB, one connection", 1024), pingTargets()...),
		with(connects(), pathTargets(P50, 0, 0)...),
		with(web("nginx-keep", "nginx keep-alive, 64 connections, 600 bytes", "requests/s"), pathTargets(Rate, 2, 2.5)...),
		with(web("nginx-close", "nginx Connection: close, 64 clients, 600 bytes", "connections/s", "Connection: close"), pathTargets(Rate, 1.4, 3.5)...),
		with(redis("redis-get", "get"), pathTargets(Rate, 1.8, 2.5)...),
		with(redis("redis-set", "set"), pathTargets(Rate, 1.8, 2.5)...),
		with(memcached(), pathTargets(Rate, 1.8, 2.5)...),
		with(threads(16, 200), threadTargets(16, 200)...),
		with(bulk("bulk-1500", "bulk, one connection, MTU 1500, GSO/TSO/GRO off at the kernel", 1500, false), bulkTargets(1.2)...),
		with(bulk("bulk-1500-gso", "bulk, one connection, MTU 1500, GSO/TSO/GRO on at the kernel", 1500, true), bulkTargets(0.4)...),
		with(bulk("bulk-9000", "bulk, one connection, MTU 9000, GSO/TSO/GRO off at the kernel", 9000, false), bulkTargets(1.2)...),
		with(crowd(10, 100, 1000, 10_000), crowdTargets(10, 10_000)...),
		with(largest(), crowdTargets(10, 100_000)...),
		with(scaling(), scalingTargets()...),
		with(looks(), lookTargets()...),
		with(floods(), floodTargets()...),
		with(idle(), Comparison{Name: "wake-ups of an idle accelerated server", Of: Server.String(), Figure: wakeUps, Kind: Alone, Max: 0.1}),
		with(passing(), passingTargets()...),
	}
}

func with(w Work, compare ...Comparison) Work {
	w.Compare = compare
	return w
}

func largest() Work {
	w := crowd(10, 100_000)
	w.Long, w.MaxRounds, w.Files = true, 2, 101_000
	return w
}

func variant(mode string, p Path) string { return mode + ", " + p.String() }

// pingTargets: sluice ↔ sluice spinning against the limit and the kernel, and an accelerated server under a kernel client.
func pingTargets() []Comparison {
	spin := variant("spinning", Both)
	c := []Comparison{
		{Name: "spinning, sluice ↔ sluice / raw AF_XDP, p50", Of: spin, To: Raw.String(), Figure: P50, Kind: Times, Max: 1.35},
		{Name: "spinning, sluice ↔ sluice / raw AF_XDP, p99", Of: spin, To: Raw.String(), Figure: P99, Kind: Times, AsGood: "spinning, sluice ↔ sluice / raw AF_XDP, p50"},
	}
	for _, k := range []struct {
		wait string
		min  float64
	}{{"blocking", 3.5}, {"spinning", 1.7}} {
		name := "spinning, sluice ↔ sluice against kernel " + k.wait
		c = append(c,
			Comparison{Name: name + ", p50", Of: spin, To: variant(k.wait, Kernel), Figure: P50, Min: k.min},
			Comparison{Name: name + ", p99", Of: spin, To: variant(k.wait, Kernel), Figure: P99, AsGood: name + ", p50"})
	}
	for _, k := range []struct {
		wait string
		min  float64
	}{{"blocking", 1.8}, {"epoll", 0}, {"spinning", 1.4}} {
		c = append(c, Comparison{Name: k.wait + ", sluice server under a kernel client, p50", Of: variant(k.wait, Server), To: variant(k.wait, Kernel), Figure: P50, Min: k.min})
	}
	for _, wait := range []string{"blocking", "epoll"} {
		c = append(c, Comparison{Name: wait + ", sluice ↔ sluice, p50", Of: variant(wait, Both), To: variant(wait, Kernel), Figure: P50})
	}
	return c
}

// pathTargets compare the accelerated paths with the kernel's.
func pathTargets(f Figure, server, both float64) []Comparison {
	c := []Comparison{
		{Name: "sluice ↔ sluice, " + string(f), Of: Both.String(), To: Kernel.String(), Figure: f, Min: both},
		{Name: "kernel client ↔ sluice server, " + string(f), Of: Server.String(), To: Kernel.String(), Figure: f, Min: server},
	}
	if f == Rate {
		c = append(c, Comparison{Name: "kernel client ↔ sluice server, p99", Of: Server.String(), To: Kernel.String(), Figure: P99},
			Comparison{Name: "kernel client ↔ sluice server, CPU", Of: Server.String(), To: Kernel.String(), Figure: Cost})
	}
	return c
}

func bulkTargets(least float64) []Comparison {
	var c []Comparison
	for _, way := range []string{"server sends", "server receives"} {
		for _, p := range []Path{Server, Both} {
			c = append(c,
				Comparison{Name: variant(way, p), Of: variant(way, p), To: variant(way, Kernel), Figure: Rate, Min: least},
				Comparison{Name: variant(way, p) + ", CPU per byte", Of: variant(way, p), To: variant(way, Kernel), Figure: Cost})
		}
	}
	return c
}

func crowdTargets(few, many int) []Comparison {
	name := func(n int, p Path) string { return fmt.Sprintf("%d connections, %s", n, p) }
	return []Comparison{
		{Name: fmt.Sprintf("p50 with %d / with %d, sluice", many, few), Of: name(many, Server), To: name(few, Server), Figure: P50, Kind: Times, Max: 1.15},
		{Name: fmt.Sprintf("p50 with %d / with %d, kernel", many, few), Of: name(many, Kernel), To: name(few, Kernel), Figure: P50, Kind: Times},
		{Name: fmt.Sprintf("bytes in the server for each further connection, %d to %d, sluice", few, many), Of: name(many, Server), To: name(few, Server), Figure: grew, Kind: Minus, Per: float64(many - few), Max: 1536},
		{Name: fmt.Sprintf("p50 with %d, sluice against kernel", many), Of: name(many, Server), To: name(many, Kernel), Figure: P50},
	}
}

// scalingTargets: flat is taken to mean within a tenth.
func scalingTargets() []Comparison {
	name := func(n int, p Path) string { return fmt.Sprintf("%d workers, %s", n, p) }
	return []Comparison{
		{Name: "CPU per request, 2 workers / 1, sluice", Of: name(2, Server), To: name(1, Server), Figure: Cost, Kind: Times, Max: 1.1},
		{Name: "CPU per request, 2 workers / 1, kernel", Of: name(2, Kernel), To: name(1, Kernel), Figure: Cost, Kind: Times},
		{Name: "2 workers, sluice against kernel", Of: name(2, Server), To: name(2, Kernel), Figure: Rate},
	}
}

func passingTargets() []Comparison {
	c := []Comparison{{Name: "start", Of: "preloaded", To: "plain", Figure: startTime, Kind: Minus, Max: 1000}}
	for _, call := range passedCalls {
		c = append(c, Comparison{Name: call + " that passes through", Of: "preloaded", To: "plain", Figure: Figure(call + ", ns"), Kind: Minus, Max: 10})
	}
	return c
}

// NotMeasured says what of the project's table this benchmark has nothing for, and why.
var NotMeasured = []string{
	"engine CPU per small request without kick and program: a profile tells that, not a benchmark",
	"memcached latencies: memaslap only tells powers of two",
}

// choose takes the works that the configuration asks for.
func choose(cfg Config) (out []Work, err error) {
	used := map[string]bool{}
	names := map[string]bool{}
	for _, w := range Works() {
		names[w.Name] = true
	}
	for _, w := range Works() {
		wanted := len(cfg.Only) == 0 && !(cfg.Quick && w.Long)
		for _, o := range cfg.Only {
			if w.Name == o || !names[o] && strings.HasPrefix(w.Name, o) {
				wanted, used[o] = true, true
			}
		}
		if wanted {
			out = append(out, w)
		}
	}
	for _, o := range cfg.Only {
		if !used[o] {
			return nil, fmt.Errorf("no work begins with %q; --list shows them", o)
		}
	}
	return out, nil
}

// List prints the works.
func List(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, k := range Works() {
		fmt.Fprintf(w, "%s\t%s\t%d variants\t%s\n", k.Name, k.Title, len(k.Variants), bedOf(k.Bed))
	}
	w.Flush()
	for _, n := range NotMeasured {
		fmt.Fprintln(out, "not here:", n)
	}
}

func bedOf(c testbed.Config) string {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	return fmt.Sprintf("%d queues, MTU %d", c.Queues, c.MTU)
}

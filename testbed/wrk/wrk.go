// Package wrk reads what wrk(1) prints.
package wrk

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Result is one run's outcome.
type Result struct {
	Requests  int     // answered
	Errors    int     // socket errors of every kind and answers with a status above 399
	PerSecond float64 // requests
	P50, P99  time.Duration
}

var (
	requests = regexp.MustCompile(`(\d+) requests in`)
	rate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	socket   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	status   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	p50      = regexp.MustCompile(`(?m)^\s+50%\s+([\d.]+[a-z]+)`)
	p99      = regexp.MustCompile(`(?m)^\s+99%\s+([\d.]+[a-z]+)`)
)

// Parse reads wrk's output; the percentiles need its option --latency and are
// zero without.
func Parse(out string) (Result, error) {
	var r Result
	m := requests.FindStringSubmatch(out)
	n := rate.FindStringSubmatch(out)
	if m == nil || n == nil {
		return r, fmt.Errorf("not the output of wrk: %q", out)
	}
	r.Requests, _ = strconv.Atoi(m[1])
	r.PerSecond, _ = strconv.ParseFloat(n[1], 64)
	for _, m := range [][]string{socket.FindStringSubmatch(out), status.FindStringSubmatch(out)} {
		for i := 1; i < len(m); i++ {
			n, _ := strconv.Atoi(m[i])
			r.Errors += n
		}
	}
	r.P50, r.P99 = duration(p50, out), duration(p99, out)
	return r, nil
}

func duration(re *regexp.Regexp, out string) time.Duration {
	m := re.FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	d, _ := time.ParseDuration(m[1])
	return d
}

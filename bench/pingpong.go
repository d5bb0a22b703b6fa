package bench

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-net/sluice/testbed"
)

// oneQueue is the testbed of everything with one serving process.
var oneQueue = testbed.Config{Queues: 1}

// How a program of the ping-pong waits.
var waits = []struct{ mode, name string }{{"block", "blocking"}, {"epoll", "epoll"}, {"spin", "spinning"}}

// pingPong is round trips of that many bytes in all modes and on all paths, and raw AF_XDP beside them.
func pingPong(name, title string, size int) Work {
	w := Work{Name: name, Title: title, Unit: "round trips/s", Bed: oneQueue}
	for _, m := range waits {
		for _, p := range []Path{Kernel, Server, Both} {
			w.Variants = append(w.Variants, Variant{Name: m.name + ", " + p.String(), Path: p, run: func(s *Session) (*Sample, error) {
				return pings(s, p, m.mode, "call", strconv.Itoa(size))
			}})
		}
	}
	w.Variants = append(w.Variants, Variant{Name: Raw.String(), Path: Raw, run: rawPings})
	return w
}

// connects is a connection for each round trip.
func connects() Work {
	w := Work{Name: "connect-close", Title: "connect, one byte each way, close; one after the other", Unit: "connections/s", Bed: oneQueue}
	for _, p := range []Path{Kernel, Server, Both} {
		w.Variants = append(w.Variants, Variant{Name: p.String(), Path: p, run: func(s *Session) (*Sample, error) {
			return pings(s, p, "block", "connect")
		}})
	}
	return w
}

func pings(s *Session, p Path, mode, verb string, more ...string) (*Sample, error) {
	n := s.port()
	ip, port := s.server.ip.String(), strconv.Itoa(n)
	return load{
		path: p, port: n,
		server: command{Program: "pingpong", Args: []string{"serve", ip, port, mode}},
		client: command{Program: "pingpong", Args: append([]string{verb, ip, port, mode, s.duration()}, more...)},
		read:   readLatencies,
	}.run(s)
}

// duration is how long a load lasts, as the programs of ours want it.
func (s *Session) duration() string { return strconv.FormatFloat(s.seconds, 'f', -1, 64) }

// readLatencies takes the raw latencies that our programs write, 32 bits each.
func readLatencies(s *Sample, out *output) error {
	h, err := histogramOf(out.Stdout)
	if err != nil {
		return err
	}
	s.record(h)
	if s.Latency == nil {
		return fmt.Errorf("no latencies in %d bytes after %s: %s", len(out.Stdout), out.Took, tail(out.Stderr))
	}
	s.Rate = 1e9 / h.Mean() // one after the other
	m := inAll.FindStringSubmatch(out.Stderr)
	if m == nil {
		return fmt.Errorf("no count: %s", tail(out.Stderr))
	}
	s.Count, err = strconv.ParseUint(m[1], 10, 64)
	return err
}

// inAll is what our programs say of the number of round trips, those of the warm-up too.
var inAll = regexp.MustCompile(`(?m)^(\d+) in all$`)

func histogramOf(raw []byte) (*hdrhistogram.Histogram, error) {
	h := newHist()
	if len(raw)%4 != 0 {
		return nil, fmt.Errorf("%d bytes are no whole latencies", len(raw))
	}
	for ; len(raw) > 0; raw = raw[4:] {
		if err := h.RecordValue(int64(binary.NativeEndian.Uint32(raw))); err != nil {
			return nil, err
		}
	}
	return h, nil
}
